"""The cluster's nodes and partitions, its QOS, and the accounts of this user.

Five commands to slurmctld, run at the same time, take 10 ms. Only slurmdbd has the flags of a QOS and the default QOS
of an account. Asking it takes 300 ms, so this is done only if the result depends on it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, replace

from passingloop.errors import MissingError, SlurmRefused
from passingloop.slurm import control
from passingloop.slurm.capacity import partition, policy
from passingloop.slurm.capacity.partition import Partition
from passingloop.slurm.capacity.policy import Account, Qos, job_caps, tres_caps
from passingloop.slurm.command import run_commands

DATABASE_TIMEOUT = 5.0
"""Seconds. A submission goes on without slurmdbd's answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Accounts and QOS are empty if the site has none, does not enforce them, or does not show them to its users."""

    partitions: Mapping[str, Partition]
    qos: Mapping[str, Qos]
    accounts: tuple[Account, ...]
    max_array_size: int
    """Tasks for one array; Slurm would accept one more."""
    cluster: str = ""
    """Its name in Slurm."""
    hides_jobs: bool = False
    """Whether users see only their own jobs."""

    def named_partitions(self, names: str | None) -> list[Partition]:
        """The existing ones of these partitions, whose names are separated by commas; without names the default one."""
        if names is None:
            return [partition for partition in self.partitions.values() if partition.default]
        return [self.partitions[name] for name in names.split(",") if name in self.partitions]

    def account(self, name: str | None, partition: str) -> Account | None:
        """The account `name` as it applies to `partition`; without a name the default account."""
        fitting = [
            account for account in self.accounts if (account.default if name is None else account.name == name.lower())
        ]
        return next((account for account in fitting if account.partition == partition), None) or next(
            (account for account in fitting if not account.partition), None
        )


def cluster_facts() -> Facts:
    """Ask slurmctld for the facts.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
    """
    user = user_name()
    questions = (
        control.CONFIGURATION_COMMAND,
        ("scontrol", "--all", "--oneliner", "show", "partition"),
        ("scontrol", "--all", "--oneliner", "show", "node"),
        ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc", f"users={user}"),
        ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=qos"),
    )
    answers = run_commands(*questions)
    for answer in answers[:3]:
        if isinstance(answer, SlurmRefused):
            raise answer
    # Some sites do not show limits to their users.
    config, partitions, nodes, accounts, qos = ("" if isinstance(text, SlurmRefused) else text for text in answers)
    return read_facts(config, partitions, nodes, f"{accounts}\n{qos}", user)


def user_name() -> str:
    """The name of this user; the user id where the machine has no name for it, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def read_facts(config: str, partitions: str, nodes: str, limits: str, user: str) -> Facts:
    """Parse the outputs of scontrol.

    Args:
        limits: accounts and QOS.
        user: whose accounts are kept.
    """
    qos, accounts = policy.read_policy(limits, user, os.getuid())
    configuration = control.read_configuration(config)
    enforced = configuration.enforced
    limited = "limits" in enforced
    return Facts(
        partitions=partition.read_partitions(partitions, nodes),
        qos=qos if limited else {},
        accounts=tuple(
            account if limited else account.without_limits() for account in accounts if "associations" in enforced
        ),
        max_array_size=configuration.max_array_size,
        cluster=configuration.cluster,
        hides_jobs=configuration.hides_jobs,
    )


def complete_from_database(facts: Facts) -> Facts:
    """`facts` with the fields that only slurmdbd knows; unchanged if it does not answer."""
    command = ("sacctmgr", "--noheader", "--parsable2", "show")
    try:
        qos, accounts = run_commands(
            (*command, "qos", "format=Name,Flags,MaxTRESPerUser,MaxSubmitJobsPerUser"),
            (*command, "assoc", f"user={user_name()}", "format=Account,Partition,DefaultQOS,QOS"),
            timeout=DATABASE_TIMEOUT,
        )
    except MissingError:
        return facts
    if isinstance(qos, SlurmRefused) or isinstance(accounts, SlurmRefused):
        return facts
    return read_database_facts(facts, qos, accounts)


def read_database_facts(facts: Facts, qos: str, accounts: str) -> Facts:
    """`facts` with the fields in sacctmgr's tables of QOS and accounts."""
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


def _qos(qos: Qos, row: list[str]) -> Qos:
    _, flags, per_user, most_jobs = row
    caps = {
        **tres_caps("user", per_user),
        **job_caps("user", most_jobs),
        **qos.caps,
    }  # slurmctld's have the current use
    return replace(qos, caps=caps, has_user_caps=True, flags=frozenset(flags.split(",")))


def _account(account: Account, row: list[str]) -> Account:
    _, _, default, allowed = row
    return replace(account, default_qos=default or None, qos=tuple(allowed.split(",")))
