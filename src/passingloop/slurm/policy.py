"""The limits of QOS and accounts, as slurmctld has them in memory. sacctmgr(1) tells what they mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from passingloop.slurm.command import value
from passingloop.slurm.notation import megabytes

Scope = Literal["job", "node", "user", "account", "all", "least"]
"""For whom a limit is: one job, its part on one node, all jobs of a user, of an account, all jobs together; `least` is
the least that a job has to ask for."""

Key = tuple[Scope, str]
"""And what it limits: cpu, mem (megabytes), node, gres/gpu, wall (seconds), or jobs, those waiting and running."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit, and what counts towards it now."""

    limit: int
    now: int = 0


Caps = Mapping[Key, Cap]


@dataclass(frozen=True, kw_only=True, slots=True)
class Qos:
    """A quality of service."""

    name: str
    caps: Caps
    users_known: bool
    """Whether `caps` has those per user. slurmctld tells them once anybody has had a job in this QOS."""
    flags: frozenset[str] = frozenset()
    """Known to the database only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account that this user may charge."""

    name: str
    partition: str
    """The only one where they may; empty is any."""
    default: bool
    caps: Caps
    above: tuple[tuple[str, Caps], ...]
    """The account itself and those it belongs to, with what all their users may have together."""
    qos: tuple[str, ...] | None = None
    """What may be used with it. This and the next are known to the database only."""
    default_qos: str | None = None

    def without_limits(self) -> Account:
        """For a site that does not enforce them."""
        return replace(self, caps={}, above=())


def read(text: str, user: str, uid: int) -> tuple[dict[str, Qos], tuple[Account, ...]]:
    """From ``scontrol --oneliner show assoc_mgr flags=assoc,qos``; the accounts are those of the user."""
    lines = text.split("\n")
    records = [line for line in lines if line.startswith("ClusterName=")]
    above = {value(line, "Account"): line for line in records if not value(line, "UserName")}
    accounts = (_account(line, above) for line in records if value(line, "UserName").rpartition("(")[0] == user)
    qos = (_qos(line, {str(uid), f"{user}({uid})"}) for line in lines if line.startswith("QOS="))
    return {each.name: each for each in qos}, tuple(accounts)


def _account(line: str, above: Mapping[str, str]) -> Account:
    name = value(line, "Account")
    caps = {
        **_wall(line),
        **tres("job", value(line, "MaxTRESPJ")),
        **tres("node", value(line, "MaxTRESPN")),
        **jobs("user", value(line, "MaxSubmitJobs")),
    }
    return Account(
        name=name,
        partition=value(line, "Partition"),
        default=value(line, "DefAssoc") == "Yes",
        caps=caps,
        above=tuple(_above(name, above)),
    )


def _above(name: str, records: Mapping[str, str]) -> list[tuple[str, Caps]]:
    ancestors: list[tuple[str, Caps]] = []
    while name in records and len(ancestors) < len(records):
        line = records[name]
        ancestors.append((name, {**tres("all", value(line, "GrpTRES")), **jobs("all", value(line, "GrpSubmitJobs"))}))
        name = value(line, "ParentAccount").partition("(")[0]
    return ancestors


def _qos(line: str, user: Collection[str]) -> Qos:
    own, _, rest = line.partition(" Account Limits=")
    accounts, _, users = rest.partition(" User Limits=")
    user_record, users_known = _record(users, user)
    account_record, _ = _record(accounts, ())
    return Qos(
        name=value(own, "QOS").partition("(")[0],
        caps={
            **_wall(own),
            **tres("job", value(own, "MaxTRESPJ")),
            **tres("node", value(own, "MaxTRESPN")),
            **tres("least", value(own, "MinTRESPJ")),
            **tres("all", value(own, "GrpTRES")),
            **jobs("all", value(own, "GrpSubmitJobs")),
            **tres("account", value(account_record, "MaxTRESPA")),
            **tres("user", value(user_record, "MaxTRESPU")),
            **jobs("user", value(user_record, "MaxSubmitJobsPU")),
        },
        users_known=users_known,
    )


def _record(text: str, names: Collection[str]) -> tuple[str, bool]:
    """One's own record in ``7={…} 8={…}``, or another's, whose limits are the same; and whether there is any."""
    records = dict(re.findall(r"(\S+)=\{([^}]*)\}", text))
    own = next((record for name, record in records.items() if name in names), None)
    other = next(iter(records.values()), "")
    return own or re.sub(r"\(\d+\)", "(0)", other), bool(records)


def tres(scope: Scope, text: str) -> dict[Key, Cap]:
    """Limits in ``cpu=8,mem=4096,gres/gpu=2(1)``; N is none."""
    limits = re.findall(r"([^=,]+)=(\d+)([KMGTP]?)(?:\((\d+)\))?", text)
    return {(scope, name): Cap(int(megabytes(f"{limit}{unit}")), int(now or 0)) for name, limit, unit, now in limits}


def jobs(scope: Scope, text: str) -> dict[Key, Cap]:
    """A limit of jobs that wait and run, as ``2(1)``."""
    return tres(scope, f"jobs={text}")


def _wall(line: str) -> dict[Key, Cap]:
    minutes = value(line, "MaxWallPJ")
    return {("job", "wall"): Cap(int(minutes) * 60)} if minutes.isdigit() else {}
