"""The limits of QOS and accounts, as slurmctld holds them in memory. sacctmgr(1) explains them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from passingloop.slurm.command import field_value
from passingloop.slurm.notation import megabytes

Scope = Literal["job", "node", "user", "account", "all", "least"]
"""What a limit applies to: a job, its part on one node, all jobs of a user or of an account, or all jobs. `least` is
the minimum that a job must request."""

CapKey = tuple[Scope, str]
"""A limit's scope and quantity: cpu, mem (megabytes), node, gres/gpu, wall (seconds), or jobs (pending and running)."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit, and how much of it is used at present."""

    limit: int
    used: int = 0


Caps = Mapping[CapKey, Cap]


@dataclass(frozen=True, kw_only=True, slots=True)
class Qos:
    """A quality of service (QOS) and its limits."""

    name: str
    caps: Caps
    has_user_caps: bool
    """Whether `caps` has the limits per user. slurmctld shows them once anybody has had a job in this QOS."""
    flags: frozenset[str] = frozenset()
    """Known from slurmdbd only."""
    of_accounts: Mapping[str, Caps] = field(default_factory=dict)
    """Its limits per account, with what each account uses, for those that have had a job in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account that this user may use."""

    name: str
    partition: str
    """The only partition in which they may use it; empty means any."""
    default: bool
    caps: Caps
    above: tuple[tuple[str, Caps], ...]
    """The account and its parent accounts, with the limits for all their users together."""
    qos: tuple[str, ...] | None = None
    """The QOS that may be used with it; known from slurmdbd only, as `default_qos`."""
    default_qos: str | None = None

    def without_limits(self) -> Account:
        """The account as it is on a site that does not enforce limits."""
        return replace(self, caps={}, above=())


def read_policy(text: str, user: str, uid: int) -> tuple[dict[str, Qos], tuple[Account, ...]]:
    """Parse ``scontrol --oneliner show assoc_mgr flags=assoc,qos``: the QOS by name, and the accounts of `user`."""
    lines = text.split("\n")
    records = [line for line in lines if line.startswith("ClusterName=")]
    above = {field_value(line, "Account"): line for line in records if not field_value(line, "UserName")}
    accounts = (_account(line, above) for line in records if field_value(line, "UserName").rpartition("(")[0] == user)
    qos = (_qos(line, {str(uid), f"{user}({uid})"}) for line in lines if line.startswith("QOS="))
    return {quality.name: quality for quality in qos}, tuple(accounts)


def _account(line: str, above: Mapping[str, str]) -> Account:
    name = field_value(line, "Account")
    caps = {
        **_wall_caps(line),
        **tres_caps("job", field_value(line, "MaxTRESPJ")),
        **tres_caps("node", field_value(line, "MaxTRESPN")),
        **job_caps("user", field_value(line, "MaxSubmitJobs")),
    }
    return Account(
        name=name,
        partition=field_value(line, "Partition"),
        default=field_value(line, "DefAssoc") == "Yes",
        caps=caps,
        above=tuple(_account_chain(name, above)),
    )


def _account_chain(name: str, records: Mapping[str, str]) -> list[tuple[str, Caps]]:
    ancestors: list[tuple[str, Caps]] = []
    while name in records and len(ancestors) < len(records):
        line = records[name]
        ancestors.append(
            (
                name,
                {
                    **tres_caps("all", field_value(line, "GrpTRES")),
                    **job_caps("all", field_value(line, "GrpSubmitJobs")),
                },
            )
        )
        name = field_value(line, "ParentAccount").partition("(")[0]
    return ancestors


def _qos(line: str, user: Collection[str]) -> Qos:
    own, _, rest = line.partition(" Account Limits=")
    accounts, _, users = rest.partition(" User Limits=")
    user_record, has_user_caps = _limits_record(users, user)
    account_record, _ = _limits_record(accounts, ())
    return Qos(
        name=field_value(own, "QOS").partition("(")[0],
        caps={
            **_wall_caps(own),
            **tres_caps("job", field_value(own, "MaxTRESPJ")),
            **tres_caps("node", field_value(own, "MaxTRESPN")),
            **tres_caps("least", field_value(own, "MinTRESPJ")),
            **tres_caps("all", field_value(own, "GrpTRES")),
            **job_caps("all", field_value(own, "GrpSubmitJobs")),
            **tres_caps("account", field_value(account_record, "MaxTRESPA")),
            **tres_caps("user", field_value(user_record, "MaxTRESPU")),
            **job_caps("user", field_value(user_record, "MaxSubmitJobsPU")),
        },
        has_user_caps=has_user_caps,
        of_accounts={
            name: tres_caps("account", field_value(record, "MaxTRESPA")) for name, record in _records(accounts).items()
        },
    )


def _limits_record(text: str, names: Collection[str]) -> tuple[str, bool]:
    """The record of one of `names` in ``7={…} 8={…}``, and whether there is any record.

    Limits are the same for all users: without an own record another one is used, with the use set to 0.
    """
    records = _records(text)
    own = next((record for name, record in records.items() if name in names), None)
    other = next(iter(records.values()), "")
    return own or re.sub(r"\(\d+\)", "(0)", other), bool(records)


def _records(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\S+)=\{([^}]*)\}", text))


def tres_caps(scope: Scope, text: str) -> dict[CapKey, Cap]:
    """Parse limits such as ``cpu=8,mem=4096,gres/gpu=2(1)``, where (1) is the use; N is no limit."""
    limits = re.findall(r"([^=,]+)=(\d+)([KMGTP]?)(?:\((\d+)\))?", text)
    return {(scope, name): Cap(int(megabytes(f"{limit}{unit}")), int(used or 0)) for name, limit, unit, used in limits}


def job_caps(scope: Scope, text: str) -> dict[CapKey, Cap]:
    """Parse a limit on pending and running jobs, such as ``2(1)``."""
    return tres_caps(scope, f"jobs={text}")


def _wall_caps(line: str) -> dict[CapKey, Cap]:
    minutes = field_value(line, "MaxWallPJ")
    return {("job", "wall"): Cap(int(minutes) * 60)} if minutes.isdigit() else {}
