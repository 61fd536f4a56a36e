"""What only slurmdbd tells of QOS and accounts: flags and defaults. It takes 0.3 s, so it is asked where it decides."""

from __future__ import annotations

from dataclasses import replace

from passingloop.errors import MissingError, SlurmRefused
from passingloop.slurm.command import asked
from passingloop.slurm.facts import Facts, user_name
from passingloop.slurm.policy import Account, Qos, jobs, tres

PATIENCE = 5.0
"""Seconds. A submission goes on without the answer."""


def informed(facts: Facts) -> Facts:
    """The facts with what slurmdbd knows; as they are where it does not answer."""
    how = ("sacctmgr", "--noheader", "--parsable2", "show")
    try:
        qos, accounts = asked(
            (*how, "qos", "format=Name,Flags,MaxTRESPerUser,MaxSubmitJobsPerUser"),
            (*how, "assoc", f"user={user_name()}", "format=Account,Partition,DefaultQOS,QOS"),
            timeout=PATIENCE,
        )
    except MissingError:
        return facts
    if isinstance(qos, SlurmRefused) or isinstance(accounts, SlurmRefused):
        return facts
    return read(facts, qos, accounts)


def read(facts: Facts, qos: str, accounts: str) -> Facts:
    """The facts with what sacctmgr prints."""
    by_name = {line.split("|")[0]: line.split("|") for line in qos.splitlines()}
    by_place = {tuple(line.split("|")[:2]): line.split("|") for line in accounts.splitlines()}
    return replace(
        facts,
        qos={name: _qos(one, by_name[name]) if name in by_name else one for name, one in facts.qos.items()},
        accounts=tuple(
            _account(one, by_place[key]) if (key := (one.name, one.partition)) in by_place else one
            for one in facts.accounts
        ),
    )


def _qos(qos: Qos, told: list[str]) -> Qos:
    _, flags, per_user, most_jobs = told
    caps = {**tres("user", per_user), **jobs("user", most_jobs), **qos.caps}  # slurmctld knows what counts towards them
    return replace(qos, caps=caps, users_known=True, flags=frozenset(flags.split(",")))


def _account(account: Account, told: list[str]) -> Account:
    _, _, default, allowed = told
    return replace(account, default_qos=default or None, qos=tuple(allowed.split(",")))
