"""What a run says of itself while it trains: how far it is, and that the grace time is too short for its saves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints.format import Progress
from passingloop.train.meters import heartbeat
from passingloop.train.meters.heartbeat import Heartbeat
from passingloop.vitals import pulse
from tests.train.checkpoints.test_saver import Training


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """It has saved once, which took a moment."""
    monkeypatch.setattr(heartbeat, "PERIOD", 0.0)
    training = Training(RunDir(tmp_path))
    training.saver.begin(Progress(step=3))
    training.saver.finish()
    return training


@pytest.mark.parametrize(("grace", "warned"), [(0.000001, 1), (1000.0, 0), (None, 0)])
def test_a_save_that_does_not_fit_into_the_grace_time_is_told_once(
    training: Training,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    grace: float | None,
    warned: int,
) -> None:
    seen = Heartbeat(RunDir(tmp_path), 1, training.clock, [], Fence(RunDir(tmp_path), 1), grace)
    with caplog.at_level(logging.WARNING, "passingloop"):
        for step in (4, 5, 6):
            seen.beat(step, training.saver)
    assert [record.message[:12] for record in caplog.records] == ["A save takes"] * warned


def test_how_far_it_is(training: Training, tmp_path: Path) -> None:
    Heartbeat(RunDir(tmp_path), 7, training.clock, [], Fence(RunDir(tmp_path), 7)).beat(5, training.saver)
    told = pulse.read(RunDir(tmp_path), 7)
    assert told is not None
    assert (told.step, told.saved_step) == (5, 3)
    assert pulse.read(RunDir(tmp_path), 6) is None, "of another attempt"
