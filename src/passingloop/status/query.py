"""The states of runs: reads their directories, and asks Slurm once for all of them.

`states_of` asks Slurm afresh. Commands that only show states use `shown_states`, which takes an answer that is some
seconds old, perhaps one that another user's command has asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Event, JobRef
from passingloop.rundir.ledger import Ledger
from passingloop.rundir.lock import is_locked
from passingloop.rundir.submission import submission_of
from passingloop.slurm import accounting, queue
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.polling.polled_queue import Snapshot, polled_job_ends, polled_jobs
from passingloop.status.data_jobs import state_with_data_jobs
from passingloop.status.rest import Rest
from passingloop.status.state import Observations, State, needs_accounting, state_of

MIN_PAUSE, MAX_PAUSE = 2.0, 30.0
"""Seconds between two calls of `states_of` by a command that waits; the pause grows from one to the other."""


READING_PATIENCE = 5.0
"""Seconds for which a command may hold its reader up, until Slurm may be asked about what the user has just done."""

AskForJobs = Callable[[Collection[int], float], Snapshot]
"""Returns the jobs of users, asked for after a time, if possible."""

AskForEnds = Callable[[Collection[str]], Mapping[str, JobEnd]]

Records = dict[RunDir, tuple[Ledger, bool]]
"""For each run its ledger, and whether it has a result."""

NO_RESTS: Mapping[RunDir, Rest] = {}


def states_of(runs: Sequence[RunDir], rests: Mapping[RunDir, Rest] = NO_RESTS) -> list[State]:
    """The state of each run, in their order. Slurm is asked only if a run without a result was submitted to it.

    Args:
        rests: those of the runs that are at rest, as far as that is known. Their directories are not read.
    """
    return _states(runs, rests, _fresh_jobs, accounting.job_ends)


def shown_states(
    runs: Sequence[RunDir], patience: float = READING_PATIENCE, rests: Mapping[RunDir, Rest] = NO_RESTS
) -> list[State]:
    """The same from answers of Slurm that may be as old as the site's `poll_seconds`.

    A run with a newer event in its ledger is shown as the ledger alone has it, not confirmed.

    Args:
        patience: seconds to wait until Slurm may be asked again, if there is such a run.
        rests: as for `states_of`.
    """
    return _states(runs, rests, partial(_known_jobs, patience), polled_job_ends)


def states_by(runs: Sequence[RunDir], snapshot: Snapshot) -> list[State]:
    """The same from an answer that is there already; slurmdbd is asked for ends as `shown_states` does."""
    return _states(runs, {}, lambda users, not_before: snapshot, polled_job_ends)


def _states(
    runs: Sequence[RunDir], rests: Mapping[RunDir, Rest], ask_for_jobs: AskForJobs, ask_for_ends: AskForEnds
) -> list[State]:
    resting = {run: rests[run] for run in runs if run in rests}
    records = _records(run for run in runs if run not in resting)
    newest = {run: rest.newest for run, rest in resting.items() if rest.job_id}
    for run, (history, finished) in records.items():
        if not finished and history.newest_job:
            newest[run] = history.events[-1].timestamp
    snapshot = _snapshot(newest, ask_for_jobs)
    states = {run: rest.state for run, rest in resting.items() if rest.holds(snapshot)}
    records |= _records(run for run in resting if run not in states)
    states |= _states_by_record(records, snapshot, ask_for_ends)
    return [states[run] for run in dict.fromkeys(runs)]


def _records(runs: Iterable[RunDir]) -> Records:
    return {run: (ledger.read(run), run.result.exists()) for run in runs}


def _states_by_record(records: Records, snapshot: Snapshot, ask_for_ends: AskForEnds) -> dict[RunDir, State]:
    states = {run: _state(run, history, finished, snapshot, {}) for run, (history, finished) in records.items()}
    uncertain = [run for run, state in states.items() if needs_accounting(state, records[run][0])]
    is_answered = snapshot.jobs is not None
    job_ids = {job_id for run in uncertain for job_id in _job_ids(records[run][0])} if is_answered else set()
    job_ends = ask_for_ends(job_ids) if job_ids else {}
    for run in uncertain:  # its directory is read again: an attempt may have started or ended meanwhile
        states[run] = _state(run, ledger.read(run), run.result.exists(), snapshot, job_ends)
    return states


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


def _job_ids(history: Ledger) -> list[str]:
    """The newest job that was submitted for a run, and the jobs that prepare its data."""
    return [job.job_id for job in (history.newest_job, *history.data_jobs) if job]


def _is_newer(event: Event, snapshot: Snapshot) -> bool:
    """Whether `event` is newer than the snapshot. One in the future is not: the clock of its node is wrong."""
    return snapshot.asked < event.timestamp <= time.time()


def _snapshot(newest: Mapping[RunDir, float], ask: AskForJobs) -> Snapshot:
    """All jobs of the owners of these runs.

    Args:
        newest: when the newest event of each run happened.
    """
    if not newest:
        return Snapshot(asked=math.inf, jobs={})
    now = time.time()
    newest_event = max((timestamp for timestamp in newest.values() if timestamp <= now), default=0.0)
    try:
        return ask({run.path.stat().st_uid for run in newest}, newest_event)
    except MissingError:
        return Snapshot(asked=math.inf, jobs=None)


def _fresh_jobs(users: Collection[int], not_before: float) -> Snapshot:
    return Snapshot(asked=math.inf, jobs=queue.jobs(users))


def _known_jobs(patience: float, users: Collection[int], not_before: float) -> Snapshot:
    return polled_jobs(users, not_before=not_before, patience=patience)
