"""Runs at rest: their files alone say how they stand, unless Slurm has a job of theirs after all.

Most of a user's runs have ended long ago. What is known of them can be kept (`passingloop.index`), so that a command
about all runs reads the directories of few.
"""

from __future__ import annotations

from dataclasses import dataclass

from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Ledger
from passingloop.slurm.polling.polled_queue import Snapshot
from passingloop.status.state import Observations, State, needs_accounting, state_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """The state of a run that has ended."""

    state: State
    job_id: str | None
    """The newest job that was submitted for it, which someone may have requeued; None if the state does not depend on
    any."""
    newest: float
    """When the last event of its ledger happened."""

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether the run is still at rest, by the jobs in Slurm; else its directory has to be read."""
        if self.job_id is None:
            return True
        jobs = snapshot.jobs
        known = jobs is None or self.job_id in jobs or self.job_id.partition("_")[0] in jobs
        return not known and self.newest <= snapshot.asked


def rest_of(run: RunDir, history: Ledger, *, finished: bool) -> Rest | None:
    """How `run` stands, if it is at rest. None if a process or a job may be at work on it, or slurmdbd is to be asked.

    Args:
        finished: whether it has a result, with which nothing about it changes any more.
    """
    newest = history.events[-1].timestamp if history.events else 0.0
    state = state_of(run, history, Observations(finished=finished))
    if finished:
        return Rest(state=state, job_id=None, newest=newest)
    if history.newest_launch is None or history.data_jobs or _is_open(run, history) or needs_accounting(state, history):
        return None
    return Rest(state=state, job_id=history.newest_job.job_id if history.newest_job else None, newest=newest)


def _is_open(run: RunDir, history: Ledger) -> bool:
    """Whether the ledger says that the run trains or waits. Without an answer of Slurm it is all that is known."""
    return state_of(run, history, Observations(jobs=None, is_locked=True)).is_active
