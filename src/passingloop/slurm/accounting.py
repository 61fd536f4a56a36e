"""What slurmdbd remembers of jobs that slurmctld has forgotten. Sites without slurmdbd remember nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from passingloop.errors import SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.slurm.command import ask
from passingloop.slurm.notation import moment, tasks
from passingloop.slurm.states import phase

AT_ONCE = 500
"""Jobs named in one sacct; a command line has an end."""

PATIENCE = 10.0
"""Seconds. What it says is good to know, and not worth more."""


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
    jobs: dict[str, Ended] = {}
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids})
    for start in range(0, len(arrays), AT_ONCE):
        chosen = ",".join(arrays[start : start + AT_ONCE])
        columns = "--format=JobID,State,ExitCode,End"
        call = ("sacct", "--allocations", "--parsable2", "--noheader", columns, f"--jobs={chosen}")
        try:
            text = ask(*call, timeout=PATIENCE)
        except (SlurmMissing, SlurmRefused, SlurmSilent):
            break
        jobs |= {job.job_id: job for job in read(text)}
    # A record without an index is that of the tasks that have none of their own.
    known = ((job_id, jobs.get(job_id) or jobs.get(job_id.partition("_")[0])) for job_id in job_ids)
    return {job_id: replace(job, job_id=job_id) for job_id, job in known if job}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """One of the times that a job has been running, between which it was requeued."""

    state: str
    """PREEMPTED, REQUEUED, NODE_FAIL …"""
    started: float
    """This and the next in seconds since the epoch."""
    ended: float | None


def stays(job_id: str) -> list[Stay]:
    """The times that a job has been running, oldest first; none where the site's accounting does not tell."""
    columns = "--format=State,Start,End"
    call = ("sacct", "--duplicates", "--allocations", "--parsable2", "--noheader", columns, f"--jobs={job_id}")
    try:
        return sorted(read_stays(ask(*call, timeout=PATIENCE)), key=lambda stay: stay.started)
    except (SlurmMissing, SlurmRefused, SlurmSilent):
        return []


def read_stays(text: str) -> Iterator[Stay]:
    """What sacct prints; not the times that it has only waited."""
    for line in text.splitlines():
        state, start, end = line.split("|")
        started = moment(start)
        if started is not None:
            yield Stay(state=state.partition(" ")[0], started=started, ended=moment(end))


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
        if phase(job.state) == "ended":
            yield from (replace(job, job_id=name) for name in tasks(names))
