"""Writes the state of a cluster as a policy file: `plan` on it finds nothing to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from passingloop.policy import fields, kinds
from passingloop.policy.entities import ROOT_USER, Seat, State
from passingloop.policy.fields import DEFAULT_ACCOUNT, PARENT, ROOT, Option, Options, Schema
from passingloop.policy.site_lines import PARTITION_KEYS, read_settings
from passingloop.slurm.command import field_value

SCHEDULING = (
    "AccountingStorageEnforce",
    "AccountingStorageTRES",
    "JobRequeue",
    "KillWait",
    "PreemptExemptTime",
    "PreemptMode",
    "PreemptParameters",
    "PreemptType",
    "PriorityDecayHalfLife",
    "PriorityFavorSmall",
    "PriorityFlags",
    "PriorityMaxAge",
    "PriorityType",
    "PriorityUsageResetPeriod",
    "PriorityWeightAge",
    "PriorityWeightAssoc",
    "PriorityWeightFairShare",
    "PriorityWeightJobSize",
    "PriorityWeightPartition",
    "PriorityWeightQOS",
    "PriorityWeightTRES",
    "PrivateData",
    "PrologFlags",
    "SchedulerParameters",
    "SchedulerType",
)
"""The parameters of slurm.conf that are policy."""

PARTITION_DEFAULTS = {
    "default": "NO",
    "max_time": "UNLIMITED",
    "default_time": "NONE",
    "qos": "N/A",
    "allowed_qos": "ALL",
    "allowed_accounts": "ALL",
    "allowed_groups": "ALL",
    "priority_tier": "1",
    "priority_factor": "1",
    "grace_time": "0",
    "max_nodes": "UNLIMITED",
    "min_nodes": "0",
    "max_cpus_per_node": "UNLIMITED",
    "oversubscribe": "NO",
    "exclusive_user": "NO",
    "hidden": "NO",
    "state": "UP",
}

PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+@-]*")
"""Text that YAML, of whatever release, leaves as it is, unless it is one of `WORDS` or looks like a number."""

WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}


def written_policy(state: State, config: str, partitions: str, nodes: str) -> str:
    """The file, for a cluster with these outputs of scontrol, see `site_lines.lines_not_in_force`."""
    sections = [
        [f"cluster: {_scalar(state.cluster)}"],
        ["qos:", *_named(fields.QOS, _without_names(state.qos))] if state.qos else [],
        _accounts(state),
        _users(state),
        ["partitions:", *_partitions(partitions)],
        _nodes(nodes),
        ["slurm_conf:", *_settings(read_settings(config)[0])],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _scalar(text: str) -> str:
    """Text in YAML, quoted where another program could take it for something else."""
    number = re.fullmatch(r"[\d_.:+-]+([eE][\d+-]+)?|0[xob]\w+", text)
    if text.isdecimal() and (text == "0" or not text.startswith("0")):
        return text
    if re.fullmatch(r"\d+\.\d+|\d+(-\d+)?(:\d\d)+", text):  # a factor, or a time, which this program takes as it is
        return text
    return text if PLAIN.fullmatch(text) and not number and text.lower() not in WORDS else json.dumps(text)


def _list(names: Iterable[str]) -> str:
    return f"[{', '.join(_scalar(name) for name in names)}]"


def _settings_of(schema: Schema, options: Options) -> Iterator[str]:
    """A line for each setting; those of resources without keys of their own as one mapping."""
    mappings: dict[str, list[str]] = {}
    for option in sorted(options, key=lambda one: _rank(schema, one)):
        key, value = schema.shown(option, options[option])
        name, _, tres = key.partition(".")
        if tres:
            mappings.setdefault(name, []).append(f"{_scalar(tres)}: {_scalar(value)}")
        elif not option[1] and _is_list(schema, option[0]):
            yield f"{key}: {_list(value.split(','))}"
        else:
            yield f"{key}: {_scalar(value)}"
    yield from (f"{name}: {{{', '.join(pairs)}}}" for name, pairs in mappings.items())


def _rank(schema: Schema, option: tuple[str, str]) -> tuple[int, str]:
    return schema.columns().index(option[0]), option[1]


def _is_list(schema: Schema, option: str) -> bool:
    return schema.field(option).kind in (kinds.QOS_NAMES, kinds.ALLOWED_QOS, kinds.FLAGS, kinds.PREEMPT_MODE)


def _named(schema: Schema, things: Mapping[str, Options]) -> Iterator[str]:
    for name, options in things.items():
        lines = list(_settings_of(schema, options))
        yield f"  {_scalar(name)}:" if lines else f"  {_scalar(name)}: {{}}"
        yield from (f"    {line}" for line in lines)


def _without_names(things: Mapping[str, Options]) -> dict[str, dict[Option, str]]:
    """Without the descriptions that only repeat the name: Slurm makes them."""
    texts = (fields.DESCRIPTION, fields.ORGANIZATION)
    return {
        name: {option: value for option, value in options.items() if option not in texts or value != name}
        for name, options in things.items()
    }


def _accounts(state: State) -> list[str]:
    """Those at the top first."""
    ordered = sorted(state.accounts, key=lambda name: (len(list(state.chain(name))), name))
    shown = _without_names({name: state.accounts[name] for name in ordered})
    for options in shown.values():
        if options.get(PARENT) == ROOT:
            del options[PARENT]
    root = {
        option: value
        for option, value in shown.pop(ROOT, {}).items()
        if option not in (fields.DESCRIPTION, fields.ORGANIZATION)
    }
    lines = [*(_named(fields.ACCOUNT, {ROOT: root}) if root else ()), *_named(fields.ACCOUNT, shown)]
    return ["accounts:", *lines] if lines else []


def _users(state: State) -> list[str]:
    seats: dict[str, list[Seat]] = {}
    for seat in state.seats:
        if (seat.user, seat.account) != (ROOT_USER, ROOT):
            seats.setdefault(seat.user, []).append(seat)
    lines = [line for user in sorted(seats) for line in _user(user, seats[user], state)]
    return ["users:", *lines] if lines else []


def _user(user: str, seats: list[Seat], state: State) -> Iterator[str]:
    own = dict(state.users.get(user, {}))
    default = own.pop(DEFAULT_ACCOUNT, "")
    accounts = sorted({seat.account for seat in seats}, key=lambda name: (name != default, name))
    rest = list(_settings_of(fields.USER, own))
    if not any(seat.partition or state.seats[seat] for seat in seats):
        yield f"  {_scalar(user)}: {{{', '.join([f'accounts: {_list(accounts)}', *rest])}}}"
        return
    yield f"  {_scalar(user)}:"
    yield from (f"    {line}" for line in rest)
    yield "    accounts:"
    for account in accounts:
        here = sorted(seat for seat in seats if seat.account == account)
        flows = [_flow(seat, state.seats[seat]) for seat in here]
        if len(flows) == 1:
            yield f"      {_scalar(account)}: {flows[0]}"
        else:
            yield f"      {_scalar(account)}:"
            yield from (f"        - {flow}" for flow in flows)


def _flow(seat: Seat, options: Options) -> str:
    partition = [f"partition: {_scalar(seat.partition)}"] if seat.partition else []
    return f"{{{', '.join([*partition, *_settings_of(fields.SEAT, options)])}}}"


def _partitions(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not (name := field_value(line, "PartitionName")):
            continue
        yield f"  {_scalar(name)}:"
        for key, one in PARTITION_KEYS.items():
            value = field_value(line, "QoS" if key == "qos" else one.parameter)
            if value and value != "(null)" and value != PARTITION_DEFAULTS.get(key) and key != "preempt_mode":
                yield f"    {key}: {_readable(key, value)}"


def _readable(key: str, value: str) -> str:
    if key == "grace_time":
        return kinds.time_text(value)
    if key in ("max_time", "default_time") and value != "UNLIMITED":
        return kinds.time_text(kinds.reported_time(value))
    if key in ("default", "exclusive_user", "hidden"):
        return value.lower()
    if key in ("allowed_qos", "denied_qos", "allowed_accounts", "denied_accounts", "allowed_groups"):
        return _list(value.split(","))
    return _scalar(value)


def _nodes(text: str) -> list[str]:
    """The nodes that have GRES, those with the same together."""
    groups: dict[str, list[str]] = {}
    for line in text.splitlines():
        gres = re.sub(r"\([^)]*\)", "", field_value(line, "Gres"))
        if gres:
            groups.setdefault(gres, []).append(field_value(line, "NodeName"))
    lines = [line for gres, names in groups.items() for line in (f"  {_scalar(hostlist(names))}:", f"    gres: {gres}")]
    return ["nodes:", *lines] if lines else []


def hostlist(names: Iterable[str]) -> str:
    """Names of nodes as Slurm writes them: ``gpu[01-16],login``."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name in names:
        stem = name.rstrip("0123456789")
        number = name[len(stem) :]
        groups.setdefault((stem, len(number) if number.startswith("0") else 0), []).append(number)
    return ",".join(f"{stem}{_spans(numbers, width)}" for (stem, width), numbers in groups.items())


def _spans(numbers: list[str], width: int) -> str:
    """``[1-4,7]``; a number alone as it is."""
    if numbers == [""]:
        return ""
    spans: list[list[int]] = []
    for number in sorted(map(int, numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [str(one).zfill(width) if one == two else f"{one:0{width}}-{two:0{width}}" for one, two in spans]
    return texts[0] if len(spans) == 1 and spans[0][0] == spans[0][1] else f"[{','.join(texts)}]"


def _settings(there: Mapping[str, str]) -> Iterator[str]:
    for name in SCHEDULING:
        value = there.get(name, "")
        if value and value not in ("(null)", "NONE", "none"):
            value = re.sub(r"^(\d+) (sec|min|usec)$", r"\1", value)
            yield f"  {name}: {_list(value.split(',')) if ',' in value else _scalar(value)}"
