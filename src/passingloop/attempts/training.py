"""In a batch job: the attempts at one run, over all nodes of the job."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from passingloop.attempts.requeue import BatchJob, act_on_decision
from passingloop.attempts.supervisor import carry_out
from passingloop.errors import RunError
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import make_cache_root
from passingloop.launch.step import Step
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End, Queued
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
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
        import passingloop.submit.resubmission  # noqa: F401
    place = Step(
        config=config, allocation=allocation, submission=submission.name, code=code, grace_seconds=grace, share=share
    )
    make_cache_root(config)
    while True:
        exit_code = carry_out(run, config, task.code, place, LEASE, queued)
        if not exit_code or not act_on_decision(run, job, alone=share == 1):
            return exit_code
        queued = 0.0


def _queued_seconds(run: RunDir, submission: Submission) -> float:
    """How long the run has waited since it was submitted, or since its last attempt in this job ended."""
    since = [event.timestamp for event in ledger.read(run).events if isinstance(event, Queued | End)]
    began = since[-1] if since else submission.record.stat().st_mtime
    alive = run.pulse.stat().st_mtime if run.pulse.exists() else 0.0  # of an attempt that has left no end
    return max(0.0, time.time() - max(began, alive))
