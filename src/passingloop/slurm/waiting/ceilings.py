"""Every limit of QOS and accounts with its use, as slurmctld holds them in memory; also those on time and on minutes.

`passingloop.slurm.capacity.policy` reads the few that a request can be checked against before it is submitted. This
module reads all, for jobs of any user: ``scontrol --oneliner show assoc_mgr``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from passingloop.slurm.command import field_value
from passingloop.slurm.notation import megabytes

Owner = Literal["qos", "account", "association"]
"""Whose limit it is: a QOS's, an account's, or that of a user in an account."""

Scope = Literal["job", "node", "user", "account", "all", "least"]
"""What it applies to; see `passingloop.slurm.capacity.policy.Scope`."""

Measure = Literal["amount", "minutes", "running minutes"]
"""An amount at the same time; amount × minutes of all use, which decays; amount × minutes that the running jobs have
left."""

RUNNING, QUEUED, WALL = "running jobs", "queued jobs", "wall"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """A limit and its use."""

    owner: Owner
    name: str
    """Of the QOS or account; ``USER in ACCOUNT`` of an association."""
    scope: Scope
    what: str
    """cpu, mem (megabytes), node, gres/gpu …, `RUNNING`, `QUEUED`, or `WALL` (minutes)."""
    measure: Measure = "amount"
    limit: float
    used: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceilings:
    """The limits that may apply to a user's job."""

    qos: Mapping[str, tuple[Ceiling, ...]] = field(default_factory=dict)
    """By the name of the QOS."""
    accounts: Mapping[str, tuple[Ceiling, ...]] = field(default_factory=dict)
    """For all users of an account together, by its name."""
    associations: Mapping[tuple[str, str], tuple[Ceiling, ...]] = field(default_factory=dict)
    """For the user alone, by account and partition, which is empty for any."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """The parent of each account."""
    qos_priority: Mapping[str, int] = field(default_factory=dict)
    preemptable: frozenset[str] = frozenset()
    """QOS whose jobs may be preempted, as their preempt mode says."""

    def chain(self, account: str) -> list[str]:
        """The account and those above it."""
        names: list[str] = []
        while account and account not in names:
            names.append(account)
            account = self.parents.get(account, "")
        return names


def read_ceilings(text: str, user: str, uid: int) -> Ceilings:
    """Parse the records of QOS and accounts; the limits per user are those of `user`."""
    qos: dict[str, tuple[Ceiling, ...]] = {}
    accounts: dict[str, tuple[Ceiling, ...]] = {}
    associations: dict[tuple[str, str], tuple[Ceiling, ...]] = {}
    parents, priorities, preemptable = {}, {}, set()
    for line in text.split("\n"):
        if line.startswith("QOS="):
            name = field_value(line, "QOS").partition("(")[0]
            qos[name] = tuple(_qos_ceilings(line, name, (f"{user}({uid})", str(uid))))
            priorities[name] = int(field_value(line, "Priority") or 0)
            if field_value(line, "PreemptMode") not in ("", "OFF"):
                preemptable.add(name)
        elif line.startswith("ClusterName="):
            account, who = field_value(line, "Account"), field_value(line, "UserName").partition("(")[0]
            if not who:
                accounts[account] = tuple(_group(line, "account", account))
                parents[account] = field_value(line, "ParentAccount").partition("(")[0]
            elif who == user:
                place = (account, field_value(line, "Partition"))
                associations[place] = tuple(_association(line, f"{user} in {account}"))
    return Ceilings(
        qos=qos,
        accounts=accounts,
        associations=associations,
        parents=parents,
        qos_priority=priorities,
        preemptable=frozenset(preemptable),
    )


def _qos_ceilings(line: str, name: str, user: tuple[str, ...]) -> Iterator[Ceiling]:
    own, _, rest = line.partition(" Account Limits=")
    accounts, _, users = rest.partition(" User Limits=")
    yield from _group(own, "qos", name)
    yield from _per_job(own, "qos", name)
    yield from _tres("qos", name, "least", field_value(own, "MinTRESPJ"))
    for who, record in _records(accounts):
        yield from _each(record, name, "account", "PA", who)
    for who, record in _records(users):
        if who in user:
            yield from _each(record, name, "user", "PU", "")


def _each(record: str, name: str, scope: Scope, ending: str, who: str) -> Iterator[Ceiling]:
    """The limits that a QOS gives each account or user. Of accounts the name is ``QOS/ACCOUNT``."""
    named = f"{name}/{who}" if who else name
    yield from _tres("qos", named, scope, field_value(record, f"MaxTRES{ending}"))
    yield from _tres("qos", named, scope, field_value(record, f"MaxTRESRunMins{ending}"), "running minutes")
    yield from _count("qos", named, scope, RUNNING, field_value(record, f"MaxJobs{ending}"))
    yield from _count("qos", named, scope, QUEUED, field_value(record, f"MaxSubmitJobs{ending}"))


def _association(line: str, name: str) -> Iterator[Ceiling]:
    yield from _group(line, "association", name)
    yield from _per_job(line, "association", name)
    yield from _count("association", name, "user", RUNNING, field_value(line, "MaxJobs"))
    yield from _count("association", name, "user", QUEUED, field_value(line, "MaxSubmitJobs"))


def _group(line: str, owner: Owner, name: str) -> Iterator[Ceiling]:
    yield from _tres(owner, name, "all", field_value(line, "GrpTRES"))
    yield from _tres(owner, name, "all", field_value(line, "GrpTRESMins"), "minutes")
    yield from _tres(owner, name, "all", field_value(line, "GrpTRESRunMins"), "running minutes")
    yield from _count(owner, name, "all", RUNNING, field_value(line, "GrpJobs"))
    yield from _count(owner, name, "all", QUEUED, field_value(line, "GrpSubmitJobs"))
    yield from _count(owner, name, "all", WALL, field_value(line, "GrpWall"), "minutes")


def _per_job(line: str, owner: Owner, name: str) -> Iterator[Ceiling]:
    yield from _tres(owner, name, "job", field_value(line, "MaxTRESPJ"))
    yield from _tres(owner, name, "node", field_value(line, "MaxTRESPN"))
    yield from _tres(owner, name, "job", field_value(line, "MaxTRESMinsPJ"), "minutes")
    yield from _count(owner, name, "job", WALL, field_value(line, "MaxWallPJ"))


def _tres(owner: Owner, name: str, scope: Scope, text: str, measure: Measure = "amount") -> Iterator[Ceiling]:
    """Limits such as ``cpu=8,mem=N(0),gres/gpu=2(1)``, where (1) is the use; N is no limit."""
    for what, limit, unit, used in re.findall(r"([^=,]+)=(\d+)([KMGTP]?)(?:\((\d+)\))?", text):
        number = megabytes(f"{limit}{unit}") if unit else float(limit)
        yield Ceiling(
            owner=owner, name=name, scope=scope, what=what, measure=measure, limit=number, used=float(used or 0)
        )


def _count(
    owner: Owner, name: str, scope: Scope, what: str, text: str, measure: Measure = "amount"
) -> Iterator[Ceiling]:
    """A limit such as ``2(1)``, or ``60(12.50)``."""
    match = re.fullmatch(r"(\d+)(?:\(([\d.]+)\))?", text)
    if match:
        limit, used = float(match[1]), float(match[2] or 0)
        yield Ceiling(owner=owner, name=name, scope=scope, what=what, measure=measure, limit=limit, used=used)


def _records(text: str) -> Iterator[tuple[str, str]]:
    """The records in ``7={…} 8={…}``."""
    yield from re.findall(r"(\S+)=\{([^}]*)\}", text)
