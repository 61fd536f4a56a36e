"""A run in a shell, as the verbs see it while it trains, when it is killed, and when it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.conftest import trainer_of
from tests.runs.small import lines

pytestmark = pytest.mark.process

Command = Callable[..., subprocess.Popen[str]]
LONG = ("trainer.steps=20000", "tracking=none", "checkpoint.every_steps=5")


def verb(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "passingloop.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def state() -> str:
    [row] = json.loads(verb("status", "--json").stdout)
    return str(row["state"])


def trains(work: Path, attempt: int) -> RunDir:
    """The one run there is, once that attempt has made and saved a few steps."""
    while True:
        for run in map(RunDir, work.glob("runs/*/*")):
            if run.complete_checkpoints() and len(lines(run.metrics, attempt=attempt, split="train")) > 5:
                return run
        time.sleep(0.05)


def test_without_its_launcher_a_training_process_saves_and_ends(
    command: Command, work: Path, small: tuple[str, ...]
) -> None:
    launcher = command(*small, *LONG)
    run = trains(work, 1)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.communicate(timeout=60)  # until the training process has closed its end of the pipes
    [end] = lines(run.attempts, event="end")
    assert end["cause"] == "interrupted"
    assert end["end_step"] == run.saved_step
    assert state() == "interrupted"


def test_a_killed_run_is_lost_and_one_that_is_cancelled_saves(
    command: Command, work: Path, small: tuple[str, ...]
) -> None:
    first = command(*small, *LONG)
    run = trains(work, 1)
    assert state() == "running"
    child = trainer_of(first)
    os.kill(child, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)
    assert state() == "running", "the launcher is gone, but what it has started still holds the lock"
    os.kill(child, signal.SIGKILL)
    first.communicate(timeout=60)
    assert state() == "lost"
    second = command(*small, *LONG)
    trains(work, 2)
    done = verb("cancel")
    assert (done.returncode, done.stdout) == (0, f"{run.path}\n"), done.stderr
    _, err = second.communicate(timeout=60)
    assert second.returncode == 130, err
    [end] = lines(run.attempts, event="end")
    assert (end["attempt"], end["cause"], end["end_step"]) == (2, "cancelled", run.saved_step)
    assert state() == "cancelled"
    assert verb("wait").returncode == 1
