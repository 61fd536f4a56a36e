"""Which jobs may be preempted, how, and with how much warning: by QOS, or by partition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.slurm.command import field_value
from passingloop.slurm.notation import seconds
from passingloop.slurm.rules.cluster_rules import ClusterRules

QOS_COMMAND = (
    "sacctmgr",
    "--noheader",
    "--parsable2",
    "show",
    "qos",
    "format=Name,GraceTime,Preempt,PreemptMode",
)
"""The command whose output `qos_preemption` parses. ``scontrol show assoc_mgr`` has no grace times (22.05)."""

PARTITION_COMMAND = ("scontrol", "--all", "--oneliner", "show", "partition")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preemptable:
    """A QOS or a partition whose running jobs may be preempted."""

    name: str
    mode: str
    """REQUEUE, CANCEL, SUSPEND …, in capitals."""
    grace: float
    """Seconds."""
    by: tuple[str, ...]
    """The QOS that preempt it; empty for a partition, which those with a higher PriorityTier preempt."""


def qos_preemption(text: str, rules: ClusterRules) -> dict[str, Preemptable]:
    """By name the QOS that another one may preempt, from the output of `QOS_COMMAND`."""
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 3]
    found = {}
    for name, grace, _, mode in rows:
        by = tuple(other for other, _, preempts, _ in rows if name in preempts.split(","))
        own = _own_mode(mode, rules)
        if by and own != "OFF":
            found[name] = Preemptable(name=name, mode=own, grace=seconds(grace) or 0.0, by=by)
    return found


def partition_preemption(text: str, rules: ClusterRules) -> dict[str, Preemptable]:
    """By name the partitions with a lower PriorityTier than another, from the output of `PARTITION_COMMAND`."""
    lines = [line for line in text.splitlines() if line.startswith("PartitionName=")]
    highest = max((_tier(line) for line in lines), default=0)
    return {place.name: place for line in lines if _tier(line) < highest for place in _preemptable(line, rules)}


def _preemptable(line: str, rules: ClusterRules) -> Iterator[Preemptable]:
    mode = _own_mode(field_value(line, "PreemptMode"), rules)
    if mode != "OFF":
        grace = float(field_value(line, "GraceTime") or 0)
        yield Preemptable(name=field_value(line, "PartitionName"), mode=mode, grace=grace, by=())


def _tier(line: str) -> int:
    return int(field_value(line, "PriorityTier") or 0)


def _own_mode(mode: str, rules: ClusterRules) -> str:
    """The mode of a QOS or partition; that of the cluster where it sets none. GANG and WITHIN only add to one."""
    modes = [word for word in re.split(r"[,\s]+", mode.upper()) if word in ("OFF", "CANCEL", "REQUEUE", "SUSPEND")]
    of_all = [word for word in rules.preempt_mode if word in ("OFF", "CANCEL", "REQUEUE", "SUSPEND")]
    return (modes or of_all or ["OFF"])[0]
