"""Slurm's reason codes by kind, and which limit a code is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from passingloop.pending.answer import Category
from passingloop.slurm.reasons import LIMIT
from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL, Ceiling, Measure, Scope

CATEGORIES: Mapping[str, Category] = {
    "None": "unseen",
    "SchedDefer": "unseen",
    "WaitingForScheduling": "unseen",
    "Priority": "priority",
    "Resources": "resources",
    "Dependency": "dependency",
    "DependencyNeverSatisfied": "dependency",
    "BeginTime": "time",
    "DeadLine": "request",
    "JobHeldUser": "held",
    "JobHeldAdmin": "held",
    "JobHoldMaxRequeue": "held",
    "JobLaunchFailure": "held",
    "launch failed requeued held": "held",
    "user env retrieval failed requeued held": "held",
    "NonZeroExitCode": "held",
    "RaisedSignal": "held",
    "TimeLimit": "held",
    "OutOfMemory": "held",
    "InactiveLimit": "held",
    "JobArrayTaskLimit": "array",
    "PartitionTimeLimit": "request",
    "PartitionNodeLimit": "request",
    "PartitionConfig": "request",
    "MaxMemPerLimit": "request",
    "BadConstraints": "request",
    "Constraints": "request",
    "PartitionDown": "nodes",
    "PartitionInactive": "nodes",
    "ReqNodeNotAvail": "nodes",
    "Nodes required for job are DOWN": "nodes",
    "NodeDown": "nodes",
    "FrontEndDown": "nodes",
    "MaxPoweredUpNodes": "nodes",
    "PowerNotAvail": "nodes",
    "PowerReserved": "nodes",
    "Reservation": "reservation",
    "ReservationDeleted": "reservation",
    "ReservationInvalid": "reservation",
    "Licenses": "licence",
    "InvalidAccount": "permission",
    "InvalidQOS": "permission",
    "AccountNotAllowed": "permission",
    "QOSNotAllowed": "permission",
    "Job's account not permitted to use this partition": "permission",
    "Job's QOS not permitted to use this partition": "permission",
    "QOSUsageThreshold": "limit",
    "AccountingPolicy": "limit",
    "Cleaning": "system",
    "Prolog": "system",
    "SystemFailure": "system",
    "FedJobLock": "system",
    "MpiPortsBusy": "system",
    "BurstBufferResources": "system",
    "BurstBufferStageIn": "system",
    "BurstBufferOperation": "system",
}

NEVER = {"DependencyNeverSatisfied", "ReservationDeleted", "ReservationInvalid"}
"""Codes besides those of requests, holds and permissions after which nothing happens by itself."""

WHATS: Mapping[str, str] = {
    "GRES": "gres/",
    "Node": "node",
    "Cpu": "cpu",
    "CPU": "cpu",
    "Mem": "mem",
    "Memory": "mem",
    "Billing": "billing",
    "License": "license/",
    "Energy": "energy",
    "BB": "bb/",
    "Unknown": "",
    "SubmitJob": QUEUED,
    "SubmitJobs": QUEUED,
    "Jobs": RUNNING,
    "Wall": WALL,
    "WallDuration": WALL,
}
"""The quantity in a code, and how the names of the quantities begin that it stands for."""

SCOPES: Mapping[str | None, Scope] = {
    "PerJob": "job",
    "PerNode": "node",
    "PerUser": "user",
    "PerAccount": "account",
    None: "user",
}
MEASURES: Mapping[str | None, Measure] = {
    "Minutes": "minutes",
    "RunMinutes": "running minutes",
    "RunMins": "running minutes",
    None: "amount",
}
VAGUE = re.compile(r"(?P<who>QOS|Assoc)(?:iation)?(?P<what>Job|Resource|Time)Limit")
"""Codes that do not say which limit it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitKind:
    """What a code says of the limit that it is about. None: it does not say."""

    of_qos: bool
    scope: Scope | None = None
    what: str | None = None
    measure: Measure | None = None

    def fits(self, ceiling: Ceiling) -> bool:
        return (
            (ceiling.owner == "qos") == self.of_qos
            and self.scope in (None, ceiling.scope)
            and self.measure in (None, ceiling.measure)
            and (self.what is None or ceiling.what.startswith(self.what))
        )


def first_word(reason: str) -> str:
    """The code without what follows it, such as the names of nodes."""
    return re.split(r"[,(]", reason)[0].strip()


@cache
def category_of(reason: str) -> Category:
    """The kind of a reason; `unknown` for a code that is not known here."""
    if (known := CATEGORIES.get(first_word(reason))) is not None:
        return known
    kind = limit_kind(reason)
    if kind is None:
        return "unknown"
    return "request" if kind.scope in ("job", "node", "least") else "limit"


@cache
def limit_kind(reason: str) -> LimitKind | None:
    """What the code says of the limit; None if it is about none."""
    if vague := VAGUE.fullmatch(reason):
        what = {"Job": RUNNING, "Time": WALL}.get(vague["what"])
        return LimitKind(of_qos=vague["who"] == "QOS", what=what)
    match = LIMIT.fullmatch(reason)
    if not match or match["what"] not in WHATS:
        return None
    grouped = match["kind"] == "Grp"
    scope: Scope = "all" if grouped else "least" if match["kind"] == "Min" else SCOPES[match["per"]]
    what = WHATS[match["what"]]
    measure = "minutes" if what == WALL and grouped else MEASURES[match["time"]]
    return LimitKind(of_qos=match["who"] != "Assoc", scope=scope, what=what, measure=measure)
