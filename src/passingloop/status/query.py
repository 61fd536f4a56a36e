"""The states of runs: reads their directories, and asks Slurm once for all of them.

`states_of` asks Slurm afresh. Commands that only show states use `shown_states`, which takes an answer that is some
seconds old, perhaps one that another user's command has asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Event, JobRef, Ledger
from passingloop.rundir.lock import is_locked
from passingloop.rundir.submission import submission_of
from passingloop.slurm import accounting, queue
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.polling.polled_queue import Snapshot, polled_job_ends, polled_jobs
from passingloop.status.data_jobs import state_with_data_jobs
from passingloop.status.state import Observations, State, state_of

MIN_PAUSE, MAX_PAUSE = 2.0, 30.0
"""Seconds between two calls of `states_of` by a command that waits; the pause grows from one to the other."""


READING_PATIENCE = 5.0
"""Seconds for which a command may hold its reader up, until Slurm may be asked about what the user has just done."""

AskForJobs = Callable[[Collection[int], float], Snapshot]
"""Returns the jobs of users, asked for after a time, if possible."""

AskForEnds = Callable[[Collection[str]], Mapping[str, JobEnd]]


def states_of(runs: Sequence[RunDir]) -> list[State]:
    """The state of each run, in their order. Slurm is asked only if a run without a result was submitted to it."""
    return _states(runs, _fresh_jobs, accounting.job_ends)


def shown_states(runs: Sequence[RunDir], patience: float = READING_PATIENCE) -> list[State]:
    """The same from answers of Slurm that may be as old as the site's `poll_seconds`.

    A run with a newer event in its ledger is shown as the ledger alone has it, not confirmed.

    Args:
        patience: seconds to wait until Slurm may be asked again, if there is such a run.
    """
    return _states(runs, partial(_known_jobs, patience), polled_job_ends)


def states_by(runs: Sequence[RunDir], snapshot: Snapshot) -> list[State]:
    """The same from an answer that is there already; slurmdbd is asked for ends as `shown_states` does."""
    return _states(runs, lambda users, not_before: snapshot, polled_job_ends)


def _states(runs: Sequence[RunDir], ask_for_jobs: AskForJobs, ask_for_ends: AskForEnds) -> list[State]:
    records = {run: (ledger.read(run), run.result.exists()) for run in runs}
    submitted = {run: history for run, (history, finished) in records.items() if not finished and history.newest_job}
    snapshot = _snapshot(submitted, ask_for_jobs)
    states = {run: _state(run, history, finished, snapshot, {}) for run, (history, finished) in records.items()}
    uncertain = [run for run, state in states.items() if _needs_accounting(state, records[run][0])]
    is_answered = snapshot.jobs is not None
    job_ids = {job_id for run in uncertain for job_id in _job_ids(records[run][0])} if is_answered else set()
    job_ends = ask_for_ends(job_ids) if job_ids else {}
    for run in uncertain:  # its directory is read again: an attempt may have started or ended meanwhile
        states[run] = _state(run, ledger.read(run), run.result.exists(), snapshot, job_ends)
    return list(states.values())


def _state(run: RunDir, history: Ledger, finished: bool, snapshot: Snapshot, job_ends: Mapping[str, JobEnd]) -> State:
    locked = not finished and is_locked(run)
    news = history.events[-1] if history.events and _is_newer(history.events[-1], snapshot) else None
    jobs = None if news else snapshot.jobs
    observations = Observations(finished=finished, is_locked=locked, jobs=jobs, job_ends=job_ends, news=news)
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


def _is_newer(event: Event, snapshot: Snapshot) -> bool:
    """Whether `event` is newer than the snapshot. One in the future is not: the clock of its node is wrong."""
    return snapshot.asked < event.timestamp <= time.time()


def _snapshot(submitted: Mapping[RunDir, Ledger], ask: AskForJobs) -> Snapshot:
    """All jobs of the owners of these runs."""
    if not submitted:
        return Snapshot(asked=math.inf, jobs={})
    now = time.time()
    newest_events = (history.events[-1].timestamp for history in submitted.values())
    newest_event = max((timestamp for timestamp in newest_events if timestamp <= now), default=0.0)
    try:
        return ask({run.path.stat().st_uid for run in submitted}, newest_event)
    except MissingError:
        return Snapshot(asked=math.inf, jobs=None)


def _fresh_jobs(users: Collection[int], not_before: float) -> Snapshot:
    return Snapshot(asked=math.inf, jobs=queue.jobs(users))


def _known_jobs(patience: float, users: Collection[int], not_before: float) -> Snapshot:
    return polled_jobs(users, not_before=not_before, patience=patience)
