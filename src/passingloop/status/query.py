"""How runs stand: the run directories read, and Slurm asked once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.lock import is_held
from passingloop.rundir.submission import submission_of
from passingloop.slurm import accounting, queue
from passingloop.slurm.accounting import Ended
from passingloop.slurm.queue import Job
from passingloop.status.data_jobs import DataJob, data_jobs, seen_with_data
from passingloop.status.state import Known, Line, State, state_of


def look(runs: Sequence[RunDir]) -> list[State]:
    """The state of each run. Slurm is asked only if a run that is not done was submitted to it."""
    read = {run: (ledger.lines(run), run.result.exists()) for run in runs}
    jobs = _jobs([run for run, (lines, finished) in read.items() if not finished and _job_id(lines)])
    states = {run: _state(run, lines, finished, jobs, {}) for run, (lines, finished) in read.items()}
    doubtful = [run for run, state in states.items() if _is_doubtful(state, read[run][0])]
    gone = {job_id for run in doubtful for job_id in _job_ids(read[run][0])} if jobs is not None else set()
    ended = accounting.ended(gone) if gone else {}
    for run in doubtful:  # read again: it may have ended, or begun, while the rest was read and Slurm was asked
        states[run] = _state(run, ledger.lines(run), run.result.exists(), jobs, ended)
    return list(states.values())


def _state(
    run: RunDir, lines: Sequence[Line], finished: bool, jobs: Mapping[str, Job] | None, ended: Mapping[str, Ended]
) -> State:
    held = not finished and is_held(run)
    known = Known(finished=finished, lock_held=held, jobs=jobs, ended=ended)
    return seen_with_data(state_of(run, lines, known), lines, known, _failures(run, lines))


def _failures(run: RunDir, lines: Sequence[Line]) -> dict[DataJob, str]:
    """What the jobs have written down that were to prepare its data."""
    messages = {one: submission_of(run, one.submission).read_failure() for one in data_jobs(lines)}
    return {one: message for one, message in messages.items() if message is not None}


def _is_doubtful(state: State, lines: Sequence[Line]) -> bool:
    """Whether slurmdbd may know better, or the directory was read at the wrong moment."""
    unasked = state.kind == "cancelled" and lines[-1]["event"] != "cancel" and bool(data_jobs(lines))
    return unasked or state.kind == "lost" or (state.kind == "interrupted" and state.cause == "preempted")


def _job_ids(lines: Sequence[Line]) -> list[str]:
    """The newest job that was submitted for a run, and those that were to prepare its data."""
    newest = _job_id(lines)
    return [newest, *(one.job_id for one in data_jobs(lines))] if newest else []


def _job_id(lines: Sequence[Line]) -> str | None:
    """The newest job that was submitted for a run."""
    return next((line["job_id"] for line in reversed(lines) if line.get("submission")), None)


def _jobs(runs: Collection[RunDir]) -> Mapping[str, Job] | None:
    """All jobs of the owners of `runs`; None if Slurm does not answer."""
    if not runs:
        return {}
    try:
        return queue.jobs({run.path.stat().st_uid for run in runs})
    except MissingError:
        return None
