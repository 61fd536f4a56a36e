"""What only an editor can change: lines of slurm.conf, gres.conf and cgroup.conf, and which are not in force."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from passingloop.policy import kinds
from passingloop.policy.entities import Policy
from passingloop.slurm.command import field_value
from passingloop.slurm.notation import node_names, seconds

ELSEWHERE = {"nodename": "nodes", "partitionname": "partitions", "downnodes": "nodes", "clustername": "cluster"}
"""Parameters of slurm.conf that are sections of the policy."""

SETTING = re.compile(r"[A-Za-z]\w*")
NOT_SHOWN = {"include"}


@dataclass(frozen=True, slots=True)
class LineKey:
    """A key of a partition or of nodes."""

    parameter: str
    """slurm.conf's name of it; empty if it goes into another file."""
    read: Callable[[str], str] = str
    """Checks the value. Raises ValueError with what is wrong."""


def _free(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError("has a space, which ends a value in slurm.conf. Leave it out.")
    return text


def _yes_or_no(text: str) -> str:
    if text.lower() not in ("yes", "no"):
        raise ValueError("is neither yes nor no.")
    return text.upper()


def _time(text: str) -> str:
    if text.lower() == "unlimited":
        return "UNLIMITED"
    return kinds.time_text(kinds.time(text))


def _nodes(text: str) -> str:
    if text.upper() != "ALL":
        try:
            names = node_names(text)
        except ValueError:
            names = []
        whole = text.count("[") == text.count("]")
        if not whole or not names or not all(re.fullmatch(r"[\w.-]+", name) for name in names):
            raise ValueError("is no list of nodes such as n[1-64] or gpu1,gpu2.")
    return text


PARTITION_KEYS = {
    "nodes": LineKey("Nodes", _nodes),
    "default": LineKey("Default", _yes_or_no),
    "max_time": LineKey("MaxTime", _time),
    "default_time": LineKey("DefaultTime", _time),
    "qos": LineKey("QOS", _free),
    "allowed_qos": LineKey("AllowQos", _free),
    "denied_qos": LineKey("DenyQos", _free),
    "allowed_accounts": LineKey("AllowAccounts", _free),
    "denied_accounts": LineKey("DenyAccounts", _free),
    "allowed_groups": LineKey("AllowGroups", _free),
    "priority_tier": LineKey("PriorityTier", kinds.count),
    "priority_factor": LineKey("PriorityJobFactor", kinds.count),
    "preempt_mode": LineKey("PreemptMode", _free),
    "grace_time": LineKey("GraceTime", kinds.time),
    "max_nodes": LineKey("MaxNodes", _free),
    "min_nodes": LineKey("MinNodes", kinds.count),
    "max_cpus_per_node": LineKey("MaxCPUsPerNode", _free),
    "oversubscribe": LineKey("OverSubscribe", _free),
    "exclusive_user": LineKey("ExclusiveUser", _yes_or_no),
    "hidden": LineKey("Hidden", _yes_or_no),
    "state": LineKey("State", _free),
    "billing_weights": LineKey("TRESBillingWeights", _free),
}

NODE_KEYS = {
    "gres": LineKey("Gres", _free),
    "features": LineKey("Features", _free),
    "gres_conf": LineKey(""),
}
"""`gres_conf` is the rest of the nodes' line in gres.conf."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteLine:
    """A line to place."""

    file: str
    """slurm.conf, gres.conf or cgroup.conf."""
    text: str
    found: str
    """What is in force instead."""


def setting_problem(name: str, before: Mapping[str, str]) -> str | None:
    """What is wrong with the name of a parameter of slurm.conf or cgroup.conf."""
    if not SETTING.fullmatch(name) or name.lower() in NOT_SHOWN:
        return "is no parameter that can be checked. Write a name such as PreemptType."
    if name.lower() in ELSEWHERE:
        return f"has a section of its own here: `{ELSEWHERE[name.lower()]}`."
    twice = next((other for other in before if other.lower() == name.lower()), None)
    return f"is there twice, also as {twice}. Keep one of the two." if twice else None


def lines_not_in_force(policy: Policy, config: str, partitions: str, nodes: str) -> list[SiteLine]:
    """The lines that the policy wants and the cluster does not have.

    Args:
        config: the output of ``scontrol show config``.
        partitions: of ``scontrol --oneliner show partition``.
        nodes: of ``scontrol --oneliner show node``.
    """
    slurm, cgroup = read_settings(config)
    return [
        *_settings("slurm.conf", policy.slurm_conf, slurm),
        *_settings("cgroup.conf", policy.cgroup_conf, cgroup),
        *_node_lines(policy.nodes, nodes),
        *_partition_lines(policy.partitions, partitions),
    ]


def read_settings(config: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters of slurm.conf and of cgroup.conf in the output of ``scontrol show config``."""
    slurm, _, cgroup = config.partition("Cgroup Support Configuration:")
    pattern = re.compile(r"^(\w+)(?:\[\d+\])?[^\S\n]*=[^\S\n]*(.*?)[^\S\n]*$", re.MULTILINE)
    return dict(pattern.findall(slurm)), dict(pattern.findall(cgroup))


def _settings(file: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> Iterator[SiteLine]:
    by_name = {name.lower(): (name, value) for name, value in there.items()}
    for name, value in wanted.items():
        known, found = by_name.get(name.lower(), ("", None))
        if found is None:
            yield SiteLine(file=file, text=f"{name}={value}", found=_not_shown(file, name, there))
        elif not same_setting(value, found):
            yield SiteLine(file=file, text=f"{known}={value}", found=f"{known} is {_shown(found)}")


def _shown(found: str) -> str:
    return "not set" if found in ("", "(null)") else found


def _not_shown(file: str, name: str, there: Mapping[str, str]) -> str:
    if not there:
        return f"scontrol show config has nothing of {file}"
    near = difflib.get_close_matches(name, there, 1, 0.8)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"scontrol show config has no {name}{meant}"


def same_setting(wanted: str, found: str) -> bool:
    """Whether a parameter is in force. Of a list, as SchedulerParameters, its parts have to be, in any order."""
    wanted, found = wanted.strip().lower(), re.sub(r"^\((null|none)\)$", "", found.strip().lower())
    found = re.sub(r"^(\d+) (sec|min|usec)$", r"\1", found)
    if wanted == found or {wanted, found} <= {"", "none", "n/a"}:
        return True
    if {wanted, found} <= {"yes", "no", "1", "0", "true", "false"}:
        return (wanted in ("yes", "1", "true")) == (found in ("yes", "1", "true"))
    if re.search("[-:]", wanted) and seconds(wanted) is not None:
        return seconds(wanted) == seconds(found)
    parts = set(filter(None, wanted.split(",")))
    return bool(parts) and parts <= set(found.split(","))


def _partition_lines(wanted: Mapping[str, Mapping[str, str]], text: str) -> Iterator[SiteLine]:
    there = {field_value(line, "PartitionName"): line for line in text.splitlines()}
    for name, settings in wanted.items():
        line = " ".join(
            [f"PartitionName={name}", *(f"{PARTITION_KEYS[key].parameter}={value}" for key, value in settings.items())]
        )
        if name not in there:
            yield SiteLine(file="slurm.conf", text=line, found=f"there is no partition {name}")
            continue
        wrong = [
            f"{key} is {_reported(key, there[name]) or 'not set'}"
            for key, value in settings.items()
            if not _same_partition_value(key, value, _reported(key, there[name]), there[name])
        ]
        if wrong:
            yield SiteLine(file="slurm.conf", text=line, found=", ".join(wrong))


def _reported(key: str, line: str) -> str:
    parameter = PARTITION_KEYS[key].parameter
    return field_value(line, "QoS" if parameter == "QOS" else parameter)


def _same_partition_value(key: str, wanted: str, found: str, line: str) -> bool:
    if key == "nodes":
        return wanted.upper() == "ALL" or set(node_names(wanted)) == set(node_names(found))
    if key == "preempt_mode" and not found:
        return wanted.lower() == "off"
    if key in ("max_time", "default_time"):
        return (seconds(wanted), wanted == "UNLIMITED") == (seconds(found), found == "UNLIMITED")
    return set(wanted.lower().split(",")) == set(found.lower().split(","))


def _node_lines(wanted: Mapping[str, Mapping[str, str]], text: str) -> Iterator[SiteLine]:
    there = {field_value(line, "NodeName"): line for line in text.splitlines()}
    for names, settings in wanted.items():
        parameters = {NODE_KEYS[key].parameter: value for key, value in settings.items() if key != "gres_conf"}
        wrong = [
            f"{name} {problem}" for name in node_names(names) if (problem := _node_problem(there.get(name), parameters))
        ]
        if not wrong:
            continue
        found = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more nodes" if len(wrong) > 3 else "")
        words = [f"{parameter}={value}" for parameter, value in parameters.items()]
        yield SiteLine(file="slurm.conf", text=" ".join([f"NodeName={names}", "…", *words]), found=found)
        if "gres_conf" in settings:
            yield SiteLine(file="gres.conf", text=f"NodeName={names} {settings['gres_conf']}", found=found)


def _node_problem(line: str | None, wanted: Mapping[str, str]) -> str:
    if line is None:
        return "does not exist"
    for parameter, value in wanted.items():
        shown = "AvailableFeatures" if parameter == "Features" else parameter
        found = re.sub(r"\([^)]*\)", "", field_value(line, shown))
        lacks = _counted(value) - _counted(found)
        more = _counted(found) - _counted(value) if parameter == "Gres" else set()
        if lacks or more:
            return f"has {parameter}={found or 'none'}"
    return ""


def _counted(text: str) -> set[str]:
    """The parts of a list of features or GRES, each GRES with its count."""
    parts = (part.lower() for part in text.split(",") if part)
    return {f"{part}:1" if re.fullmatch(r"(gpu|shard|mps)(:[a-z]\w*)?", part) else part for part in parts}
