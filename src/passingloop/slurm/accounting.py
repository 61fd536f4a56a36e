"""Jobs in Slurm's accounting database (slurmdbd), which keeps them after slurmctld has removed them.

A site without slurmdbd has no records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from passingloop.errors import SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.slurm.command import run_command
from passingloop.slurm.notation import task_names, timestamp
from passingloop.slurm.states import job_phase

JOBS_PER_CALL = 500
"""Job ids passed to one sacct command; the length of a command line is limited."""

TIMEOUT = 10.0
"""Seconds to wait for sacct. Its answer is optional: without it less is known about a job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEnd:
    """The end of a job."""

    job_id: str
    state: str
    """COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, PREEMPTED, OUT_OF_MEMORY …"""
    exit_code: int
    time: float | None
    """Seconds since the epoch."""


def job_ends(job_ids: Collection[str]) -> dict[str, JobEnd]:
    """The ends of these jobs, by job id; jobs that accounting does not know are left out.

    For a job that was requeued it is the last end. sacct is asked for whole arrays, because it keeps all tasks that
    never started in one record, which it does not show when it is asked for one of them.
    """
    jobs: dict[str, JobEnd] = {}
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids})
    for start in range(0, len(arrays), JOBS_PER_CALL):
        ids = ",".join(arrays[start : start + JOBS_PER_CALL])
        columns = "--format=JobID,State,ExitCode,End"
        call = ("sacct", "--allocations", "--parsable2", "--noheader", columns, f"--jobs={ids}")
        try:
            text = run_command(*call, timeout=TIMEOUT)
        except (SlurmMissing, SlurmRefused, SlurmSilent):
            break
        jobs |= {job.job_id: job for job in read_job_ends(text)}
    # A record without a task index stands for the tasks that have no record of their own.
    pairs = ((job_id, jobs.get(job_id) or jobs.get(job_id.partition("_")[0])) for job_id in job_ids)
    return {job_id: replace(job, job_id=job_id) for job_id, job in pairs if job}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPeriod:
    """One period in which a job was running: from its start to its end or its next requeue."""

    state: str
    """PREEMPTED, REQUEUED, NODE_FAIL …"""
    started: float
    """Seconds since the epoch, as `ended`."""
    ended: float | None


def run_periods(job_id: str, timeout: float = TIMEOUT) -> list[RunPeriod]:
    """The periods in which a job was running, oldest first; empty if accounting does not answer in time."""
    columns = "--format=State,Start,End"
    call = ("sacct", "--duplicates", "--allocations", "--parsable2", "--noheader", columns, f"--jobs={job_id}")
    try:
        return sorted(read_run_periods(run_command(*call, timeout=timeout)), key=lambda period: period.started)
    except (SlurmMissing, SlurmRefused, SlurmSilent):
        return []


def read_run_periods(text: str) -> Iterator[RunPeriod]:
    """Parse the output of sacct. Records of a job that was requeued or cancelled before it started are left out."""
    for line in text.splitlines():
        state, start, end = line.split("|")
        started = timestamp(start)
        if started is not None:
            yield RunPeriod(state=state.partition(" ")[0], started=started, ended=timestamp(end))


def read_job_ends(text: str) -> Iterator[JobEnd]:
    """Parse the output of sacct; jobs that have not ended are left out."""
    for line in text.splitlines():
        names, state, exit_code, end = line.split("|")
        job = JobEnd(
            job_id="",
            state=state.partition(" ")[0],  # CANCELLED by 1000
            exit_code=int(exit_code.partition(":")[0]),
            time=timestamp(end),
        )
        if job_phase(job.state) == "ended":
            yield from (replace(job, job_id=name) for name in task_names(names))
