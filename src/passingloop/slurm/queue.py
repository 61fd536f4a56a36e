"""The jobs that slurmctld knows: those waiting, running, and lately ended (MinJobAge, 5 minutes unless set)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from passingloop.slurm.command import ask
from passingloop.slurm.notation import moment, seconds

FIELDS = ("%i", "%F", "%j", "%U", "%T", "%r", "%N", "%V", "%S", "%e", "%l", "%P", "%a", "%q", "%o")
"""squeue(1), --format: job, array, name, user, state, reason, nodes, submitted, starts, ends, limit, partition,
account, QOS, and last the path of the script."""

RECORD, UNIT = "\x1e", "\x1f"
"""ASCII's own separators of records and units: names and paths may hold anything else, a newline too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job, or one task of an array."""

    job_id: str
    """``12``, or ``12_3`` for a task."""
    array_id: str
    """``12`` for both."""
    name: str
    user: int
    state: str
    """PENDING, RUNNING, COMPLETING, COMPLETED, FAILED …"""
    reason: str
    """Why it waits, in Slurm's words; None is one of them."""
    nodes: str
    """A hostlist; empty while it waits."""
    submitted: float | None
    """This and the next two in seconds since the epoch."""
    started: float | None
    """For a job that waits, when Slurm expects it to start, if it does."""
    ends: float | None
    limit: float | None
    """Seconds; None if unlimited."""
    partition: str
    account: str
    qos: str
    script: str
    """The path that sbatch was given."""


def jobs(users: Collection[int]) -> dict[str, Job]:
    """All jobs of the users with these ids, by job id, in one question to Slurm.

    Of an array whose tasks have all been cancelled one by one Slurm keeps a single job, under the array's number.

    Raises:
        MissingError: there is no Slurm, or it does not answer.
    """
    if not users:
        return {}
    whose = ",".join(map(str, users))
    columns = RECORD + UNIT.join(FIELDS)
    # Without --all there would be none of hidden partitions, nor of those that have closed to the user's group since.
    text = ask("squeue", "--all", "--noheader", "--array", "--states=all", f"--user={whose}", f"--format={columns}")
    jobs_read = [_job(record.removesuffix("\n")) for record in text.split(RECORD)[1:]]
    return {job.job_id: job for job in jobs_read}


def _job(record: str) -> Job:
    values = record.split(UNIT, len(FIELDS) - 1)
    number, array, name, user, state, reason, nodes, submitted, started, ends, limit, *rest = values
    partition, account, qos, script = rest
    return Job(
        job_id=number,
        array_id=array,
        name=name,
        user=int(user),
        state=state,
        reason=reason,
        nodes="" if nodes == "(null)" else nodes,
        submitted=moment(submitted),
        started=moment(started),
        ends=moment(ends),
        limit=seconds(limit),
        partition=partition,
        account=account,
        qos=qos,
        script=script,
    )
