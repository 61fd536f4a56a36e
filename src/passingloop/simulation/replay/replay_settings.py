"""From a policy file to the lines of slurm.conf with which it is replayed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passingloop.errors import ConfigError
from passingloop.policy.entities import Policy
from passingloop.policy.site_lines import PARTITION_KEYS
from passingloop.slurm.notation import node_names

SCHEDULING = re.compile(
    r"priority.*|preempt.*|scheduler.*|fairshare.*|jobrequeue|killwait|overtimelimit|enforcepartlimits|completewait"
    r"|accountingstorageenforce|accountingstoragetres|accountingstoreflags|resvoverrun|dependencyparameters",
    re.IGNORECASE,
)
"""The settings that decide who gets what and when. Others are about the machines."""

ALWAYS = {
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core",
}

PATIENT = {"bf_max_time": "3600", "max_sched_time": "600"}
"""Seconds of the cluster's time that one cycle of the schedulers may take: a second of it is a moment of the machine's,
which does not compute faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplaySettings:
    """Lines of slurm.conf, and in sentences what is not as in the file."""

    settings: Mapping[str, str]
    partitions: tuple[str, ...]
    notes: tuple[str, ...]


def replay_settings(policy: Policy, nodes: Sequence[str] = ()) -> ReplaySettings:
    """The settings with which a policy is replayed.

    Args:
        nodes: names that the nodes have in the file, in the order of the replay's nodes n1, n2, …

    Raises:
        ConfigError: the policy needs something that cannot be replayed.
    """
    wanted = {name: value for name, value in policy.slurm_conf.items() if SCHEDULING.fullmatch(name)}
    ignored = sorted(set(policy.slurm_conf) - set(wanted))
    _check_preempt_mode(policy, wanted)
    values = {name.lower(): value for name, value in wanted.items()}
    own = ALWAYS | {
        "SchedulerParameters": _with(values.get("schedulerparameters", ""), PATIENT),
        "AccountingStorageTRES": _with(values.get("accountingstoragetres", ""), {"gres/gpu": ""}),
    }
    taken = {name.lower() for name in own}
    settings = {name: value for name, value in wanted.items() if name.lower() not in taken} | own
    notes = [f"{', '.join(ignored)} in slurm_conf: not replayed, as no policy depends on them."] if ignored else []
    return ReplaySettings(settings=settings, partitions=_partitions(policy, nodes), notes=tuple(notes))


def _check_preempt_mode(policy: Policy, wanted: Mapping[str, str]) -> None:
    for name, value in wanted.items():
        if name.lower() == "preemptmode" and {"SUSPEND", "GANG"} & set(value.upper().split(",")):
            raise ConfigError(
                f"{policy.place('slurm_conf', name)}: {name} is {value}, but suspended jobs cannot be replayed. "
                "Use REQUEUE or CANCEL, or try this policy on a real cluster."
            )


def _with(value: str, further: Mapping[str, str]) -> str:
    """A list of options and the further ones, unless it has them."""
    words = [word for word in value.split(",") if word]
    names = {word.partition("=")[0].lower() for word in words}
    added = [f"{name}={text}" if text else name for name, text in further.items() if name.lower() not in names]
    return ",".join([*words, *added])


def _partitions(policy: Policy, nodes: Sequence[str]) -> tuple[str, ...]:
    if not policy.partitions:
        return ("PartitionName=main Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP",)
    numbers = {name: f"n{number}" for number, name in enumerate(nodes, 1)}
    lines = []
    for name, keys in policy.partitions.items():
        written = {"Nodes": "ALL", "State": "UP"}
        written |= {PARTITION_KEYS[key].parameter: value for key, value in keys.items()}
        if len(policy.partitions) == 1:
            written["Default"] = "YES"
        if written["Nodes"].upper() != "ALL":
            unknown = [one for one in node_names(written["Nodes"]) if one not in numbers]
            if unknown:
                raise ConfigError(
                    f"{policy.place('partitions', name, 'nodes')}: the partition {name} has the node {unknown[0]}, "
                    "but the replay has no node of that name. Name it in the section `nodes`, or write `nodes: ALL`."
                )
            written["Nodes"] = ",".join(numbers[one] for one in node_names(written["Nodes"]))
        lines.append(" ".join([f"PartitionName={name}", *(f"{key}={value}" for key, value in written.items())]))
    return tuple(lines)
