"""The states of runs: reads their directories, and asks Slurm once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import JobRef, Ledger
from passingloop.rundir.lock import is_locked
from passingloop.rundir.submission import submission_of
from passingloop.slurm import accounting, queue
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.queue import Job
from passingloop.status.data_jobs import state_with_data_jobs
from passingloop.status.state import Observations, State, state_of

MIN_PAUSE, MAX_PAUSE = 2.0, 30.0
"""Seconds between two calls of `states_of` by a command that waits; the pause grows from one to the other."""


def states_of(runs: Sequence[RunDir]) -> list[State]:
    """The state of each run, in their order. Slurm is asked only if a run without a result was submitted to it."""
    records = {run: (ledger.read(run), run.result.exists()) for run in runs}
    jobs = _slurm_jobs([run for run, (history, finished) in records.items() if not finished and history.newest_job])
    states = {run: _state(run, history, finished, jobs, {}) for run, (history, finished) in records.items()}
    uncertain = [run for run, state in states.items() if _needs_accounting(state, records[run][0])]
    job_ids = {job_id for run in uncertain for job_id in _job_ids(records[run][0])} if jobs is not None else set()
    job_ends = accounting.job_ends(job_ids) if job_ids else {}
    for run in uncertain:  # its directory is read again: an attempt may have started or ended meanwhile
        states[run] = _state(run, ledger.read(run), run.result.exists(), jobs, job_ends)
    return list(states.values())


def _state(
    run: RunDir, history: Ledger, finished: bool, jobs: Mapping[str, Job] | None, job_ends: Mapping[str, JobEnd]
) -> State:
    locked = not finished and is_locked(run)
    observations = Observations(finished=finished, is_locked=locked, jobs=jobs, job_ends=job_ends)
    return state_with_data_jobs(state_of(run, history, observations), history, observations, _failures(run, history))


def _failures(run: RunDir, history: Ledger) -> dict[JobRef, str]:
    """The messages of the jobs that should prepare the run's data and failed."""
    messages = {job: submission_of(run, job.submission).read_failure() for job in history.data_jobs}
    return {job: message for job, message in messages.items() if message is not None}


def _needs_accounting(state: State, history: Ledger) -> bool:
    """Whether slurmdbd may change the state, or the directory may have been read between two of its changes."""
    not_by_user = state.kind == "cancelled" and not history.is_cancel_requested and bool(history.data_jobs)
    return not_by_user or state.kind == "lost" or (state.kind == "interrupted" and state.cause == "preempted")


def _job_ids(history: Ledger) -> list[str]:
    """The newest job that was submitted for a run, and the jobs that prepare its data."""
    return [job.job_id for job in (history.newest_job, *history.data_jobs) if job]


def _slurm_jobs(runs: Collection[RunDir]) -> Mapping[str, Job] | None:
    """All jobs of the owners of `runs`; None if Slurm does not answer."""
    if not runs:
        return {}
    try:
        return queue.jobs({run.path.stat().st_uid for run in runs})
    except MissingError:
        return None
