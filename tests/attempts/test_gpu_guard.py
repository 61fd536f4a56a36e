"""Runs whose GPUs compute nothing are warned, and ended where that was asked for: by samples in their directory."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from passingloop import site
from passingloop.attempts.gpu_guard import GpuGuard
from passingloop.launch.machine import Machine
from passingloop.launch.processes import Children, Ending, Process
from passingloop.preempt.cause import stop_cause
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import Device, GpuSample, NodeSamples, Sample, SamplesFile
from tests.conftest import Compose
from tests.rundir.events import start

STOPS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
signal.pthread_sigmask(signal.SIG_SETMASK, [])
time.sleep(600)
"""

SECOND = 1 / 60
"""In minutes."""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "name" / "0123456789ab")
    run.logs.mkdir(parents=True)
    run.samples.mkdir()
    run.log(1, 0).touch()
    ledger.append(run, start(1, None))
    return run


@pytest.fixture(autouse=True)
def no_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which the site's settings would be."""
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    monkeypatch.setattr(site, "SYSTEM_FOLDER", tmp_path)
    return tmp_path


def watched(run: RunDir, compose: Compose, busy: Sequence[float | None], *words: str, seconds: float) -> Ending:
    """How a process ended that does nothing, while the GPUs are sampled as `busy`, for so many seconds at most."""
    config = compose("resources=cpu", *words)
    place = Machine(config=config, allocation=None, gpus=tuple(map(str, range(len(busy)))), size=1)
    devices = tuple(Device(name="H200", uuid=str(index)) for index in range(len(busy)))
    node = NodeSamples(attempt=1, node="n1", devices=devices)
    lock, deadline, written = os.open(run.path, os.O_RDONLY), time.monotonic() + seconds, 0.0
    with SamplesFile(run.samples_of(1, "n1"), node) as file, Children(lock) as children:
        children.start([Process(command=[sys.executable, "-c", STOPS], environment=os.environ, log=run.log(1, 1))])
        guard = GpuGuard(run, 1, config, place, children.request_stop, children.kill)

        def sample() -> None:
            nonlocal written
            if time.monotonic() - written > 0.1:
                written = time.monotonic()
                gpus = tuple(GpuSample(busy=share) for share in busy)
                file.append(Sample(time=time.time(), seconds=0.1, gpus=gpus).to_row())
            if time.monotonic() > deadline:
                children.kill()

        ending = children.wait(sample, guard.sample)
    os.close(lock)
    return ending


ENDS = ("watch.idle_warning_minutes=[]", "watch.idle_end=true", f"watch.idle_end_minutes={SECOND}")
WARNS = (f"watch.idle_warning_minutes=[{SECOND}]",)
KILLED = Ending(0, -signal.SIGKILL)


def test_it_is_asked_to_save_and_stop_if_the_user_wants_that(
    run: RunDir, compose: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(run, compose, [0.0, 0.01], *ENDS, seconds=30) == Ending(0, 130)
    request = ledger.read(run).stop_request
    assert request is not None
    assert request.cause == "idle"
    assert request.message.startswith("None of its 2 GPUs has computed anything for ")
    assert stop_cause(run, 0) == "idle"
    assert "The run is asked to save and stop." in capsys.readouterr().err


def test_it_is_stopped_also_if_that_cannot_be_written_down(run: RunDir, compose: Compose) -> None:
    run.attempts.unlink()
    run.attempts.mkdir()
    assert watched(run, compose, [0.0], *ENDS, seconds=30) == Ending(0, 130)


def test_it_is_asked_to_stop_if_the_site_wants_that(run: RunDir, compose: Compose, no_site: Path) -> None:
    limits = f"[gpu_idle]\nend = true\nwarning_minutes = []\nend_minutes = {SECOND}"
    (no_site / "passingloop.toml").write_text(limits)
    assert watched(run, compose, [0.0], "watch.idle_warning_minutes=[]", seconds=30) == Ending(0, 130)


def test_it_is_only_warned_otherwise(run: RunDir, compose: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    assert watched(run, compose, [0.0], *WARNS, seconds=3) == KILLED
    assert ledger.read(run).stop_request is None
    sentence = r"Its GPU has computed nothing for \d s\. Look what it waits for, or give the GPUs back\."
    assert len(re.findall(f"Notice: {sentence}", capsys.readouterr().err)) == 1
    assert re.search(f"WARNING passingloop: {sentence}\n$", run.log(1, 0).read_text())


@pytest.mark.parametrize("busy", [[0.0, 0.5], [0.0, None], [None]])
def test_what_is_busy_or_not_known_is_not_idle(
    run: RunDir, compose: Compose, busy: list[float | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(run, compose, busy, *WARNS, *ENDS[1:], f"watch.idle_end_minutes={2 * SECOND}", seconds=3) == KILLED
    assert capsys.readouterr().err == ""
