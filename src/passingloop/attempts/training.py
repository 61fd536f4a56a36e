"""In a batch job: the attempts at one run, over all nodes of the job."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from passingloop.attempts.requeue import BatchJob, act_on_decision, undisturbed
from passingloop.attempts.supervisor import carry_out
from passingloop.errors import PassingloopError, RunError
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import make_cache_root
from passingloop.launch.step import Step
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, End, Queued
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.search.enrolment import config_to_rung, is_search
from passingloop.slurm.grace import grace_seconds

LEASE = 120.0
"""Seconds to wait for the run's lock: where a node died, a file server keeps its locks for a lease of about 90 s."""


def ignore_signals() -> None:
    """Ignore the signals with which Slurm asks the batch step to stop, at the end of a grace time.

    What has begun then, to submit a new job for one, is brought to its end; Slurm kills us in time. With SIG_IGN they
    would stay ignored in our children.
    """
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)


def train(task: TrainTask, submission: Submission, code: Path, share: int = 1) -> int:
    """Make attempts at the run of `task` until it is done, or not to go on in this job. Returns the job's exit code.

    The run of a search pauses at a rung. This job then decides what follows, and goes on if its run does.

    Args:
        share: among how many runs GPU and CPUs are shared. If there are others, the job is not requeued here.

    Raises:
        RunError: it was cancelled, or another process is working on it.
        ConfigError, MissingError: the job has not what the run asks for.
    """
    run, config, queued = task.run, task.config, _queued_seconds(task.run, submission)
    past = ledger.read(run)
    if past.is_cancel_requested:
        raise RunError(f"{run.path} was cancelled before this job began, so it does not begin.")
    if past.is_replaced(submission.name):
        raise RunError(f"{run.path} continues in a job that was submitted after this one, so this one does not begin.")
    allocation = Allocation.current()
    assert allocation, "we are in a batch job"
    job = BatchJob(allocation=allocation, task=task, submission=submission, code=code)
    grace = grace_seconds(job.job_id)
    if config.resources.is_ranged:  # when a job is preempted there may be no time for it
        import passingloop.submit.resubmission
    if searches := is_search([config]):
        import passingloop.submit.search_points  # noqa: F401  # for the same reason
    place = Step(
        config=config, allocation=allocation, submission=submission.name, code=code, grace_seconds=grace, share=share
    )
    make_cache_root(config)
    while True:
        try:
            to_rung = config_to_rung(run, config)
            exit_code = carry_out(run, to_rung, task.code, place, LEASE, queued) if to_rung else 0
        except PassingloopError:
            if searches:
                _goes_on(job)
            raise
        if not (exit_code and act_on_decision(run, job, alone=share == 1)) and not (searches and _goes_on(job)):
            return exit_code
        queued = 0.0


def _goes_on(job: BatchJob) -> bool:
    """Decide what follows in the search of the job's run, which is at a rung or at its end. Returns whether this job
    trains it to another rung."""
    from passingloop.submit.search_points import (
        continue_search,  # late: brings submit, of which most attempts have no need
    )

    newest = ledger.read(job.task.run).events[-1]
    if isinstance(newest, Decision) and newest.action in ("requeue", "resubmit"):
        return False
    with undisturbed():
        return continue_search(job.task, job.submission, job.code, job.job_id)


def _queued_seconds(run: RunDir, submission: Submission) -> float:
    """How long the run has waited since it was submitted, or since its last attempt in this job ended."""
    since = [event.timestamp for event in ledger.read(run).events if isinstance(event, Queued | End)]
    began = since[-1] if since else submission.record.stat().st_mtime
    alive = run.pulse.stat().st_mtime if run.pulse.exists() else 0.0  # of an attempt that has left no end
    return max(0.0, time.time() - max(began, alive))
