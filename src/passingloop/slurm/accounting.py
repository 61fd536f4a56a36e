"""What slurmdbd remembers of jobs that slurmctld has forgotten. Sites without slurmdbd remember nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from passingloop.errors import SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.slurm.array import tasks
from passingloop.slurm.command import ask
from passingloop.slurm.times import moment

AT_ONCE = 500
"""Jobs named in one sacct; a command line has an end."""

PATIENCE = 10.0
"""Seconds. What it says is good to know, and not worth more."""

ALIVE = ("PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING")
"""sacct(1), JOB STATE CODES: all others are ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a job ended."""

    job_id: str
    state: str
    """COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, PREEMPTED, OUT_OF_MEMORY …"""
    exit_code: int
    ended: float | None
    """Seconds since the epoch."""


def ended(job_ids: Collection[str]) -> dict[str, Ended]:
    """How these jobs ended, as far as the site's accounting knows; of a job that was requeued, the last time.

    sacct is asked for whole arrays: it keeps tasks that never began as one record, and has none if asked for a task.
    """
    found: dict[str, Ended] = {}
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids})
    for start in range(0, len(arrays), AT_ONCE):
        chosen = ",".join(arrays[start : start + AT_ONCE])
        columns = "--format=JobID,State,ExitCode,End"
        call = ("sacct", "--allocations", "--parsable2", "--noheader", columns, f"--jobs={chosen}")
        try:
            text = ask(*call, timeout=PATIENCE)
        except (SlurmMissing, SlurmRefused, SlurmSilent):
            break
        found |= {job.job_id: job for job in read(text)}
    # A record without an index is that of the tasks that have none of their own.
    known = ((job_id, found.get(job_id) or found.get(job_id.partition("_")[0])) for job_id in job_ids)
    return {job_id: replace(job, job_id=job_id) for job_id, job in known if job}


def read(text: str) -> Iterator[Ended]:
    """The jobs in what sacct prints that have ended."""
    for line in text.splitlines():
        names, state, exit_code, end = line.split("|")
        job = Ended(
            job_id="",
            state=state.partition(" ")[0],  # CANCELLED by 1000
            exit_code=int(exit_code.partition(":")[0]),
            ended=moment(end),
        )
        if job.state not in ALIVE:
            yield from (replace(job, job_id=name) for name in tasks(names))
