"""The states of runs: their directories are read, and Slurm is asked once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import JobRef, Ledger
from passingloop.rundir.lock import is_held
from passingloop.rundir.submission import submission_of
from passingloop.slurm import accounting, queue
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.queue import Job
from passingloop.status.data_jobs import with_data_jobs
from passingloop.status.state import Known, State, state_of


def states_of(runs: Sequence[RunDir]) -> list[State]:
    """The state of each run. Slurm is asked only if a run that is not done was submitted to it."""
    read = {run: (ledger.read(run), run.result.exists()) for run in runs}
    jobs = _jobs([run for run, (past, finished) in read.items() if not finished and past.newest_job])
    states = {run: _state(run, past, finished, jobs, {}) for run, (past, finished) in read.items()}
    doubtful = [run for run, state in states.items() if _is_doubtful(state, read[run][0])]
    gone = {job_id for run in doubtful for job_id in _job_ids(read[run][0])} if jobs is not None else set()
    ended = accounting.job_ends(gone) if gone else {}
    for run in doubtful:  # read again: it may have ended, or begun, while the rest was read and Slurm was asked
        states[run] = _state(run, ledger.read(run), run.result.exists(), jobs, ended)
    return list(states.values())


def _state(
    run: RunDir, past: Ledger, finished: bool, jobs: Mapping[str, Job] | None, ended: Mapping[str, JobEnd]
) -> State:
    held = not finished and is_held(run)
    known = Known(finished=finished, lock_held=held, jobs=jobs, ended=ended)
    return with_data_jobs(state_of(run, past, known), past, known, _failures(run, past))


def _failures(run: RunDir, past: Ledger) -> dict[JobRef, str]:
    """Why jobs that were to prepare its data have failed, as they have written it down."""
    messages = {job: submission_of(run, job.submission).read_failure() for job in past.data_jobs}
    return {job: message for job, message in messages.items() if message is not None}


def _is_doubtful(state: State, past: Ledger) -> bool:
    """Whether slurmdbd may know better, or the directory was read at the wrong moment."""
    unasked = state.kind == "cancelled" and not past.is_cancel_requested and bool(past.data_jobs)
    return unasked or state.kind == "lost" or (state.kind == "interrupted" and state.cause == "preempted")


def _job_ids(past: Ledger) -> list[str]:
    """The newest job that was submitted for a run, and those that were to prepare its data."""
    return [job.job_id for job in (past.newest_job, *past.data_jobs) if job]


def _jobs(runs: Collection[RunDir]) -> Mapping[str, Job] | None:
    """All jobs of the owners of `runs`; None if Slurm does not answer."""
    if not runs:
        return {}
    try:
        return queue.jobs({run.path.stat().st_uid for run in runs})
    except MissingError:
        return None
