"""What the cluster has and allows, as slurmctld tells it: nodes, partitions, QOS, the accounts of this user.

Five questions, asked at the same time: 10 ms. Flags and defaults of QOS and accounts only slurmdbd knows. It takes
300 ms, so it is asked only where that decides.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, replace

from passingloop.errors import MissingError, SlurmRefused
from passingloop.slurm import control, partition, policy
from passingloop.slurm.command import asked
from passingloop.slurm.partition import Partition
from passingloop.slurm.policy import Account, Qos, jobs, tres

DATABASE_PATIENCE = 5.0
"""Seconds. A submission goes on without the answer of slurmdbd."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All of it. Accounts and QOS are empty where the site keeps none, does not enforce them or does not show them."""

    partitions: Mapping[str, Partition]
    qos: Mapping[str, Qos]
    accounts: tuple[Account, ...]
    max_array_size: int
    """Tasks for one array: 1,000 where MaxArraySize is not set. Slurm would take one more."""

    def chosen(self, names: str | None) -> list[Partition]:
        """The partitions of these names, with commas between them, as far as they exist; without names the default."""
        if names is None:
            return [partition for partition in self.partitions.values() if partition.default]
        return [self.partitions[name] for name in names.split(",") if name in self.partitions]

    def account(self, name: str | None, partition: str) -> Account | None:
        """The account that pays for a job in `partition`; without a name the default one."""
        fitting = [
            account for account in self.accounts if (account.default if name is None else account.name == name.lower())
        ]
        return next((account for account in fitting if account.partition == partition), None) or next(
            (account for account in fitting if not account.partition), None
        )


def facts() -> Facts:
    """Ask slurmctld.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
    """
    user = user_name()
    questions = (
        control.CONFIGURATION,
        ("scontrol", "--all", "--oneliner", "show", "partition"),
        ("scontrol", "--all", "--oneliner", "show", "node"),
        ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc", f"users={user}"),
        ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=qos"),
    )
    answers = asked(*questions)
    for answer in answers[:3]:
        if isinstance(answer, SlurmRefused):
            raise answer
    # Not every site shows its limits to its users; then nothing is known of them.
    config, partitions, nodes, accounts, qos = ("" if isinstance(text, SlurmRefused) else text for text in answers)
    return read(config, partitions, nodes, f"{accounts}\n{qos}", user)


def user_name() -> str:
    """Ours, as Slurm's database has it; the number where the machine has no name for it, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def read(config: str, partitions: str, nodes: str, limits: str, user: str) -> Facts:
    """The facts in what scontrol prints."""
    qos, accounts = policy.read(limits, user, os.getuid())
    configuration = control.read_configuration(config)
    enforced = configuration.enforced
    limited = "limits" in enforced
    return Facts(
        partitions=partition.read(partitions, nodes),
        qos=qos if limited else {},
        accounts=tuple(
            account if limited else account.without_limits() for account in accounts if "associations" in enforced
        ),
        max_array_size=configuration.max_array_size,
    )


def informed(facts: Facts) -> Facts:
    """The facts with what slurmdbd knows; as they are where it does not answer."""
    how = ("sacctmgr", "--noheader", "--parsable2", "show")
    try:
        qos, accounts = asked(
            (*how, "qos", "format=Name,Flags,MaxTRESPerUser,MaxSubmitJobsPerUser"),
            (*how, "assoc", f"user={user_name()}", "format=Account,Partition,DefaultQOS,QOS"),
            timeout=DATABASE_PATIENCE,
        )
    except MissingError:
        return facts
    if isinstance(qos, SlurmRefused) or isinstance(accounts, SlurmRefused):
        return facts
    return read_database(facts, qos, accounts)


def read_database(facts: Facts, qos: str, accounts: str) -> Facts:
    """The facts with what sacctmgr prints."""
    by_name = {line.split("|")[0]: line.split("|") for line in qos.splitlines()}
    by_place = {tuple(line.split("|")[:2]): line.split("|") for line in accounts.splitlines()}
    return replace(
        facts,
        qos={name: _qos(qos, by_name[name]) if name in by_name else qos for name, qos in facts.qos.items()},
        accounts=tuple(
            _account(account, by_place[key]) if (key := (account.name, account.partition)) in by_place else account
            for account in facts.accounts
        ),
    )


def _qos(qos: Qos, told: list[str]) -> Qos:
    _, flags, per_user, most_jobs = told
    caps = {**tres("user", per_user), **jobs("user", most_jobs), **qos.caps}  # slurmctld knows what counts towards them
    return replace(qos, caps=caps, users_known=True, flags=frozenset(flags.split(",")))


def _account(account: Account, told: list[str]) -> Account:
    _, _, default, allowed = told
    return replace(account, default_qos=default or None, qos=tuple(allowed.split(",")))
