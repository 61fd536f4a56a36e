"""In a batch job, on its first node: attempts at a run over all nodes of the job, or the preparation of data."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from passingloop.attempts.requeue import BatchJob, act_on_decision
from passingloop.attempts.supervisor import carry_out
from passingloop.errors import RunError
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import make_cache_root
from passingloop.launch.step import Step
from passingloop.rundir import ledger
from passingloop.rundir.code import code_environment
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import End, Queued
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import PrepareTask, TrainTask
from passingloop.slurm.grace import grace_seconds
from passingloop.text import exit_code

LEASE = 120.0
"""Seconds to wait for the run's lock: where a node died, a file server keeps its locks for a lease of about 90 s."""


def main(submission: str, code: str) -> int:
    """Carry out the task of this job in the folder `submission`, with `code`. Returns the job's exit code."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # At the end of a grace time Slurm signals the batch step, too. What has begun then, to submit a new job for
        # one, is brought to its end; Slurm kills us in time. Ignored signals would stay ignored in our children.
        signal.signal(number, lambda *_: None)
    return exit_code(functools.partial(_carry_out_task, Submission.from_folder(Path(submission)), Path(code)))


def _carry_out_task(submission: Submission, code: Path) -> int:
    task = submission.read_task(int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
    os.umask(0o777 & ~int(task.settings["run_mode"], 8))
    match task:
        case TrainTask():
            return train(task, submission, code)
        case PrepareTask():
            return prepare(submission, code)


def train(task: TrainTask, submission: Submission, code: Path) -> int:
    """Make attempts at the run of `task` until it is done, or not to go on in this job. Returns the job's exit code.

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
    place = Step(config=config, allocation=allocation, submission=submission.name, code=code, grace_seconds=grace)
    make_cache_root(config)
    while True:
        exit_code = carry_out(run, config, task.code, place, LEASE, queued)
        if not exit_code or not act_on_decision(run, job):
            return exit_code
        queued = 0.0


def prepare(submission: Submission, code: Path) -> int:
    """Prepare the data of the only task, in a process of its own. Returns the job's exit code.

    It may be done any number of times: after a preemption the job starts again, and goes by what is in the cache.
    """
    submission.failure.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-u", "-m", "passingloop.job", "--prepare", str(submission.folder)]
    done = subprocess.run(command, env=code_environment(os.environ, code), check=False)
    if done.returncode and not submission.failure.exists():
        submission.write_failure(_exit_sentence(done.returncode))
    return abs(done.returncode)


def _exit_sentence(code: int) -> str:
    if code != -signal.SIGKILL:
        return f"The process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}."
    return "The process was killed, as it is where a job's memory has run out. Set resources.mem, or prepare here."


def _queued_seconds(run: RunDir, submission: Submission) -> float:
    """How long the run has waited since it was submitted, or since its last attempt in this job ended."""
    since = [event.timestamp for event in ledger.read(run).events if isinstance(event, Queued | End)]
    began = since[-1] if since else submission.record.stat().st_mtime
    alive = run.pulse.stat().st_mtime if run.pulse.exists() else 0.0  # of an attempt that has left no end
    return max(0.0, time.time() - max(began, alive))
