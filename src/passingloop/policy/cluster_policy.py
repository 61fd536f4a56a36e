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


RECENT_COMMAND = (
    "squeue",
    "--all",
    "--noheader",
    "--states=RUNNING,SUSPENDED,COMPLETING,COMPLETED,FAILED,CANCELLED,TIMEOUT,PREEMPTED,NODE_FAIL,OUT_OF_MEMORY",
    "--Format=UserName:|,Account:|,QOS:|",
)
"""The jobs that have run and that slurmctld still knows. It tells slurmdbd up to five seconds late when a job became
eligible, and until then sacct does not find the job by time."""


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
    """What was used of the accounts, users and QOS that are to be removed. Asks only if there are any."""
    accounts = {name for name in before.accounts if name not in after.accounts}
    accounts |= {seat.account for seat in before.seats if seat not in after.seats}
    qos = {name for name in before.qos if name not in after.qos}
    sacct = [
        *("sacct", "--noheader", "--parsable2", "--allocations", "--allusers", "--format=User,Account,QOS"),
        *(f"--clusters={before.cluster}", f"--starttime={ALWAYS}", "--endtime=now"),
    ]
    jobs, hours = "", ""
    if accounts:
        names = ",".join(sorted(accounts))
        jobs += run_command(*sacct, f"--accounts={names}", timeout=PATIENCE)
        report = ("sreport", "--noheader", "--parsable2", "cluster", "AccountUtilizationByUser")
        scope = (f"Clusters={before.cluster}", f"Accounts={names}", f"Start={ALWAYS}", "End=now")
        hours = run_command(*report, *scope, "format=Login,Account,Used", timeout=PATIENCE)
    if qos:
        jobs += run_command(*sacct, f"--qos={','.join(sorted(qos))}", timeout=PATIENCE)
    if accounts or qos:
        jobs += run_command(*RECENT_COMMAND, timeout=PATIENCE)
    return read_history(jobs, hours)


def read_history(jobs: str, hours: str) -> History:
    """What was used, from lines of ``User|Account|QOS`` for jobs, and ``Login|Account|Used`` for hours."""
    used = [line.split("|")[:3] for line in jobs.splitlines() if line.count("|") >= 2]
    billed = [row[:2] for row in (line.split("|") for line in hours.splitlines()) if len(row) == 3 and row[2] != "0"]
    return History(
        accounts=frozenset(account for _, account, *_ in [*used, *billed]),
        seats=frozenset((user, account) for user, account, *_ in [*used, *billed]),
        qos=frozenset(qos for _, _, qos in used),
    )
