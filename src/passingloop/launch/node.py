"""In the batch job, on its first node: makes the attempt that was submitted, over all its nodes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from passingloop.config.build import build
from passingloop.config.settings import RunConfig
from passingloop.errors import PassingloopError, RunError
from passingloop.launch.allocation import Allocation
from passingloop.launch.attempt import carry_out
from passingloop.launch.step import step
from passingloop.preempt.cause import cancel_asked
from passingloop.rundir import ledger
from passingloop.rundir.atomic import read_json
from passingloop.rundir.layout import RunDir
from passingloop.slurm import control

LEASE = 120.0
"""Seconds to wait for the run's lock: where a node died, a file server keeps its locks for a lease of about 90 s."""


def main(submission: str, code: str) -> int:
    """Carry out the task of this job in the folder `submission`, with `code`. Returns the job's exit code."""
    folder = Path(submission)
    task = read_json(folder / "tasks" / f"{int(os.environ.get('SLURM_ARRAY_TASK_ID', '0')):04d}.json")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    try:
        return _carry_out(task, folder)
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _carry_out(task: Mapping[str, Any], folder: Path) -> int:
    config, run = build(RunConfig, task["config"]), RunDir(Path(task["run"]))
    os.umask(0o777 & ~int(config.run_mode, 8))
    os.environ["PASSINGLOOP_QUEUED_SECONDS"] = f"{_queued_seconds(run, folder):.3f}"
    if cancel_asked(run):
        raise RunError(f"{run.path} was cancelled before this job began, so it does not begin.")
    allocation = Allocation.around_us()
    assert allocation, "we are in a batch job"
    exit_code = carry_out(run, config, task["code"], step(allocation, config, folder.name), patience=LEASE)
    if exit_code and _was_preempted(run):
        with suppress(PassingloopError):  # done already; or there is no scontrol here, and Slurm does it
            control.requeue(allocation.name)
        time.sleep(LEASE)  # until Slurm ends this job to start it again: with an exit code it would have failed
    return exit_code


def _was_preempted(run: RunDir) -> bool:
    """Whether the attempt stepped aside. Slurm 22.05 does not requeue what ends by itself in its grace time."""
    ends = [line for line in ledger.lines(run) if line["event"] == "end"]
    return bool(ends) and ends[-1]["cause"] == "preempted"


def _queued_seconds(run: RunDir, folder: Path) -> float:
    """How long the run has waited since it was submitted, or since its last attempt in this job ended."""
    since = [line["time"] for line in ledger.lines(run) if line["event"] in ("queued", "end")]
    began = datetime.fromisoformat(since[-1]).timestamp() if since else (folder / "submission.json").stat().st_mtime
    return max(0.0, time.time() - began)
