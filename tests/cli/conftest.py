"""``passingloop VERB`` on run directories of a shell, or made by hand: no Slurm is needed, nor found."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.cli.main import main
from passingloop.rundir.directory import RunDir
from tests.cli.made import Runs
from tests.conftest import Compose, Finished

Verb = Callable[..., Finished]
Hold = Callable[[RunDir], subprocess.Popen[str]]


@pytest.fixture
def verb(work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Verb:
    """`verb("status", "--json")`: the command in this process, on a machine without Slurm."""
    (work / "bin").mkdir()
    monkeypatch.setenv("PATH", str(work / "bin"))

    def verb(*words: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["passingloop", *words])
        try:
            code = main()
        except SystemExit as stopped:  # by argparse
            code = int(stopped.code or 0)
        return Finished(code, *capfd.readouterr())

    return verb


@pytest.fixture
def runs(compose: Compose) -> Runs:
    return Runs(compose)


HOLDER = """
import os, signal, sys
from pathlib import Path
from passingloop.rundir import ledger, lock
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End

run = RunDir(Path(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
held = lock.acquire_lock(run)
if os.fork() == 0:
    signal.pause()
print("held", flush=True)
signal.sigwait([signal.SIGTERM])
end = End(attempt=1, end_step=3, cause="cancelled")
ledger.append(run, end)
os.killpg(0, signal.SIGKILL)
"""
"""Holds the run as a launcher does, together with a process that it started, until it is told to stop."""


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts a process that trains, as far as others can see."""
    started = []

    def hold(run: RunDir) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(run.path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
