"""In the batch job, on its first node: makes the attempts that were submitted, over all its nodes; or prepares data."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passingloop.attempts.data_job import prepare
from passingloop.attempts.requeue import Job, go_on
from passingloop.attempts.supervisor import carry_out
from passingloop.config.build import build
from passingloop.config.settings import RunConfig
from passingloop.errors import PassingloopError, RunError
from passingloop.files import read_json
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import QUEUED
from passingloop.launch.step import step
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import End, Queued
from passingloop.rundir.submission import Submission
from passingloop.slurm.grace import GRACE, grace_seconds

LEASE = 120.0
"""Seconds to wait for the run's lock: where a node died, a file server keeps its locks for a lease of about 90 s."""


def main(submission: str, code: str) -> int:
    """Carry out the task of this job in the folder `submission`, with `code`. Returns the job's exit code."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # At the end of a grace time Slurm signals the batch step, too. What has begun then, to submit a new job for
        # one, is brought to its end; Slurm kills us in time. Ignored signals would stay ignored in our children.
        signal.signal(number, lambda *_: None)
    folder = Path(submission)
    task = read_json(folder / "tasks" / f"{int(os.environ.get('SLURM_ARRAY_TASK_ID', '0')):04d}.json")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    if "prepare" in task:
        return prepare(task["prepare"], Submission.at(folder))
    try:
        return _carry_out(task, folder, Path(code))
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _carry_out(task: Mapping[str, Any], folder: Path, code: Path) -> int:
    config, run = build(RunConfig, task["config"]), RunDir(Path(task["run"]))
    os.umask(0o777 & ~int(config.run_mode, 8))
    os.environ[QUEUED] = f"{_queued_seconds(run, folder):.3f}"
    if ledger.read(run).cancel_asked:
        raise RunError(f"{run.path} was cancelled before this job began, so it does not begin.")
    allocation = Allocation.around_us()
    assert allocation, "we are in a batch job"
    grace = grace_seconds(allocation.name)
    os.environ.update({GRACE: f"{grace:g}"} if grace is not None else {})
    job, place = Job(allocation.name, task, folder.name, code), step(allocation, config, folder.name)
    while True:
        exit_code = carry_out(run, config, task["code"], place, patience=LEASE)
        if not exit_code or not go_on(run, job):
            return exit_code


def _queued_seconds(run: RunDir, folder: Path) -> float:
    """How long the run has waited since it was submitted, or since its last attempt in this job ended."""
    since = [event.moment for event in ledger.read(run).events if isinstance(event, Queued | End)]
    began = since[-1] if since else (folder / "submission.json").stat().st_mtime
    alive = run.pulse.stat().st_mtime if run.pulse.exists() else 0.0  # of an attempt that has left no end
    return max(0.0, time.time() - max(began, alive))
