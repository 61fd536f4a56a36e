"""Asks the cluster: what slurmdbd has, what is in force, who has jobs, and what was used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from passingloop.errors import MissingError, SlurmRefused
from passingloop.policy import reports
from passingloop.policy.entities import State
from passingloop.policy.fields import ADMIN_LEVEL
from passingloop.policy.guards import History, Usage
from passingloop.policy.reports import QueuedJob, read_jobs, read_state, read_usage
from passingloop.policy.site_lines import read_settings
from passingloop.slurm.capacity.facts import user_name
from passingloop.slurm.command import run_command, run_commands
from passingloop.slurm.control import CONFIGURATION_COMMAND

PATIENCE = 120.0
"""Seconds for slurmdbd, which may have years of jobs to look through."""

ALWAYS = "2000-01-01"
"""Before the first job of any cluster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What the cluster has."""

    state: State
    config: str
    """The output of ``scontrol show config``."""
    partitions: str
    """Of ``scontrol --oneliner show partition``."""
    nodes: str
    """Of ``scontrol --oneliner show node``."""


def observe() -> Observed:
    """Ask slurmctld and slurmdbd, eight commands at the same time.

    Raises:
        MissingError: there is no Slurm here, it does not answer, or it has no slurmdbd.
    """
    answers = run_commands(
        CONFIGURATION_COMMAND,
        ("scontrol", "--all", "--oneliner", "show", "partition"),
        ("scontrol", "--all", "--oneliner", "show", "node"),
        reports.QOS_COMMAND,
        reports.ACCOUNT_COMMAND,
        reports.USER_COMMAND,
        reports.SEAT_COMMAND,
        reports.TRES_COMMAND,
        timeout=PATIENCE,
    )
    for answer in answers:
        if isinstance(answer, SlurmRefused):
            raise MissingError(f"The policy cannot be read: {answer} Ask as an administrator, where slurmdbd answers.")
    config, partitions, nodes, *tables = (str(answer) for answer in answers)
    settings = read_settings(config)[0]
    state = replace(
        read_state(settings.get("ClusterName", ""), *tables),
        of_partitions=frozenset(name.lower() for name in re.findall(r" QoS=(\S+)", partitions)),
    )
    if is_hidden(settings, state, user_name()):
        raise MissingError(
            f"PrivateData={settings['PrivateData']} in slurm.conf hides accounts and users from you. Call this as "
            "root, as SlurmUser, or as an operator or administrator of slurmdbd."
        )
    return Observed(state=state, config=config, partitions=partitions, nodes=nodes)


def is_hidden(settings: Mapping[str, str], state: State, user: str) -> bool:
    """Whether `user` sees a part of the accounts and users only, which would look like all of them."""
    privileged = user in ("root", settings.get("SlurmUser", "").partition("(")[0])
    if privileged or ADMIN_LEVEL in state.users.get(user, {}):
        return False
    return bool({"accounts", "users", "all"} & set(settings.get("PrivateData", "").lower().split(",")))


def queued_jobs() -> list[QueuedJob]:
    """All jobs that wait or run."""
    return read_jobs(run_command(*reports.JOB_COMMAND, timeout=PATIENCE))


def usage() -> Usage:
    """What counts against budgets, from slurmctld: it decays, and is set back at PriorityUsageResetPeriod."""
    command = ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc,qos")
    return read_usage(run_command(*command, timeout=PATIENCE))


def history(before: State, after: State) -> History:
    """Which of the accounts, users and QOS that are to be removed were used. Asks only if there are any."""
    accounts = [name for name in before.accounts if name not in after.accounts]
    seats = [seat for seat in before.seats if seat not in after.seats]
    qos = [name for name in before.qos if name not in after.qos]
    since = (f"--starttime={ALWAYS}", "--endtime=now")
    sacct = ("sacct", "--noheader", "--parsable2", "--allocations", "--allusers", f"--clusters={before.cluster}")
    used_accounts: set[str] = set()
    used_seats: set[tuple[str, str]] = set()
    if accounts or seats:
        names = ",".join(sorted({*accounts, *(seat.account for seat in seats)}))
        jobs = run_command(*sacct, *since, f"--accounts={names}", "--format=User,Account", timeout=PATIENCE)
        report = ("sreport", "--noheader", "--parsable2", "cluster", "AccountUtilizationByUser")
        scope = (f"Clusters={before.cluster}", f"Accounts={names}", f"Start={ALWAYS}", "End=now")
        hours = run_command(*report, *scope, "format=Login,Account,Used", timeout=PATIENCE)
        for user, account, *used in (line.split("|") for line in [*jobs.splitlines(), *hours.splitlines()]):
            if used != ["0"]:
                used_accounts.add(account)
                used_seats.add((user, account))
    used_qos: set[str] = set()
    if qos:
        names = ",".join(sorted(qos))
        jobs = run_command(*sacct, *since, f"--qos={names}", "--format=QOS", timeout=PATIENCE)
        used_qos = set(re.split(r"[\s|]+", jobs)) & set(qos)
    return History(accounts=frozenset(used_accounts), seats=frozenset(used_seats), qos=frozenset(used_qos))
