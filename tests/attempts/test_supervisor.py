"""What a command says and writes when no process was started."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from passingloop.attempts.supervisor import carry_out
from passingloop.errors import MissingError, RunBusy
from passingloop.launch.machine import Machine
from passingloop.launch.processes import Process
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End, Wait
from passingloop.rundir.lock import acquire_lock
from tests.conftest import Compose


class Interrupted(Machine):
    """A machine on which somebody presses Ctrl-C while the start of the attempt is written."""

    @property
    def nodes(self) -> Sequence[str]:
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # it is asked for later as well
            os.kill(os.getpid(), signal.SIGINT)
        return ["here"]


def test_a_request_before_any_process_is_there_is_answered_in_a_sentence(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, config = RunDir(tmp_path), compose("resources=cpu")
    place = Interrupted(config=config, allocation=None, gpus=(), size=1)
    assert carry_out(run, config, {}, place) == 130
    assert capsys.readouterr().err == "error: Interrupted. The same command continues from the last checkpoint.\n"
    [end] = ledger.read(run).events_of(End)
    assert end.cause == "interrupted"


class Job(Machine):
    """As if it were a batch job."""

    @property
    def submission(self) -> str | None:
        return "first"


class WithoutSrun(Job):
    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        return [Process(command=["/no/srun"], environment={})]


def test_a_job_without_srun_fails_in_a_sentence(compose: Compose, tmp_path: Path) -> None:
    run, config = RunDir(tmp_path), compose("resources=cpu")
    with pytest.raises(MissingError, match=r"/no/srun cannot be run on .*: No such file or directory\."):
        carry_out(run, config, {}, WithoutSrun(config=config, allocation=None, gpus=(), size=1))
    [end] = ledger.read(run).events_of(End)
    assert end.cause == "crash"
    assert end.message and end.message.startswith("/no/srun cannot be run on ")


class NothingStarts(Machine):
    """As srun 22.05 ends where it could not start a process."""

    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        return [Process(command=["true"], environment=os.environ, hint="Perhaps the node lacks something.")]


def test_an_attempt_of_which_no_process_has_begun_has_failed(
    compose: Compose, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, config = RunDir(tmp_path), compose("resources=cpu")
    assert carry_out(run, config, {}, NothingStarts(config=config, allocation=None, gpus=(), size=1)) == 1
    [end] = ledger.read(run).events_of(End)
    assert (end.cause, end.message) == ("crash", "ended with exit code 0")
    assert capfd.readouterr().err.endswith("Perhaps the node lacks something.\n")


def test_a_job_that_waits_for_the_lock_says_so(compose: Compose, tmp_path: Path) -> None:
    run, config = RunDir(tmp_path), compose("resources=cpu")
    held = acquire_lock(run)
    try:
        with pytest.raises(RunBusy):
            carry_out(run, config, {}, Job(config=config, allocation=None, gpus=(), size=1), patience=0.3)
    finally:
        os.close(held)
    waiting, over = ledger.read(run).events_of(Wait)
    assert waiting.reason and f"The run is locked by process {os.getpid()}" in waiting.reason
    assert over.reason is None
