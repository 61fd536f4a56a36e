"""The jobs that slurmctld knows: pending, running, and ended within MinJobAge (default 300 s)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from passingloop.slurm.command import run_command
from passingloop.slurm.notation import seconds, timestamp

FIELDS = ("%i", "%F", "%j", "%U", "%T", "%r", "%N", "%V", "%S", "%e", "%l", "%P", "%a", "%q", "%y", "%o")
"""squeue(1), --format: job id, array id, name, user id, state, reason, nodes, submit time, start time, end time, time
limit, partition, account, QOS, nice value, and last the path of the script."""

USER = FIELDS.index("%U")
RECORD, UNIT = "\x1e", "\x1f"
"""ASCII's separators of records and units, as names and paths may contain any other character, also newlines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job, or a task of an array."""

    job_id: str
    """``12``, or ``12_3`` for a task."""
    array_id: str
    """``12`` for a job and for the tasks of an array."""
    name: str
    user: int
    state: str
    """PENDING, RUNNING, COMPLETING, COMPLETED, FAILED …"""
    reason: str
    """Why it is pending, Slurm's reason code; "None" is one of them."""
    nodes: str
    """A hostlist; empty while it is pending."""
    submitted: float | None
    """Seconds since the epoch, as `started` and `ends`."""
    started: float | None
    """For a pending job the expected start, if Slurm has one."""
    ends: float | None
    limit: float | None
    """Time limit in seconds; None if unlimited."""
    partition: str
    account: str
    qos: str
    script: str
    """The path that sbatch was given."""
    nice: int = 0
    """By how much its priority is lowered."""


def jobs(users: Collection[int]) -> dict[str, Job]:
    """All jobs of the users with these ids, by job id, from one squeue command.

    If all tasks of an array have been cancelled before they started, Slurm keeps one job with the array's id.

    Raises:
        MissingError: there is no Slurm, or it does not answer.
    """
    return read_jobs(ask_for_jobs(users), users) if users else {}


def ask_for_jobs(users: Collection[int] | None) -> str:
    """What squeue prints of the jobs of `users`, or of all users, for `read_jobs`.

    Raises:
        MissingError: there is no Slurm, or it does not answer.
    """
    columns = RECORD + UNIT.join(FIELDS)
    whose = [] if users is None else [f"--user={','.join(map(str, users))}"]
    # --all includes jobs in hidden partitions, and in partitions that the user's group may no longer use.
    return run_command("squeue", "--all", "--noheader", "--array", "--states=all", *whose, f"--format={columns}")


def read_jobs(text: str, users: Collection[int] | None = None) -> dict[str, Job]:
    """Parse what `ask_for_jobs` returns; keeps the jobs of `users`, or all.

    Raises:
        ValueError: squeue has not printed it.
    """
    records = (record.removesuffix("\n") for record in text.split(RECORD)[1:])
    jobs_read = [_job(record) for record in records if users is None or _owner(record) in users]
    return {job.job_id: job for job in jobs_read}


def _owner(record: str) -> int:
    return int(record.split(UNIT, USER + 1)[USER])


def _job(record: str) -> Job:
    values = record.split(UNIT, len(FIELDS) - 1)
    number, array, name, user, state, reason, nodes, submitted, started, ends, limit, *rest = values
    partition, account, qos, nice, script = rest
    return Job(
        job_id=number,
        array_id=array,
        name=name,
        user=int(user),
        state=state,
        reason=reason,
        nodes="" if nodes == "(null)" else nodes,
        submitted=timestamp(submitted),
        started=timestamp(started),
        ends=timestamp(ends),
        limit=seconds(limit),
        partition=partition,
        account=account,
        qos=qos,
        script=script,
        nice=int(nice),
    )
