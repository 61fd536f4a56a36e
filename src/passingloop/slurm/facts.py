"""What the cluster has and allows, as slurmctld tells it: nodes, partitions, QOS, the accounts of this user.

Five questions, asked at the same time: 10 ms. sacctmgr would ask the database, which takes 300 ms.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.errors import SlurmRefused
from passingloop.slurm import partition, policy
from passingloop.slurm.command import asked
from passingloop.slurm.partition import Partition
from passingloop.slurm.policy import Account, Qos

DEFAULT_ARRAY = 1000
"""Tasks of an array where slurmctld does not say: MaxArraySize is 1001 unless set, and caps the index."""


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
        fitting = [one for one in self.accounts if (one.default if name is None else one.name == name.lower())]
        return next((one for one in fitting if one.partition == partition), None) or next(
            (one for one in fitting if not one.partition), None
        )


def facts() -> Facts:
    """Ask slurmctld.

    Raises:
        MissingError: there is no Slurm here, or it does not answer.
    """
    user = user_name()
    questions = (
        ("scontrol", "show", "config"),
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
    enforced = _value(config, "AccountingStorageEnforce").lower().split(",")
    size = _value(config, "MaxArraySize")
    limited = "limits" in enforced
    return Facts(
        partitions=partition.read(partitions, nodes),
        qos=qos if limited else {},
        accounts=tuple(one if limited else one.without_limits() for one in accounts if "associations" in enforced),
        max_array_size=int(size) - 1 if size else DEFAULT_ARRAY,
    )


def _value(config: str, key: str) -> str:
    found = re.search(rf"^{key}\s*=\s*(\S+)", config, re.MULTILINE)
    return found[1] if found else ""
