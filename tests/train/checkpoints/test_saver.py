"""Saving beside training: what is written is the state of its step, and a disk that is full costs no run."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from passingloop.config.build import build
from passingloop.config.running import CheckpointConfig
from passingloop.errors import NotSaved
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints import format, manifest, saver
from passingloop.train.checkpoints.copies import Copies
from passingloop.train.checkpoints.format import Progress, write_tensors
from passingloop.train.checkpoints.interval import LONGEST, UNTIL_KNOWN, History
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.checkpoints.stores import Copied
from passingloop.train.meters.clock import Clock
from tests.conftest import Disk

NUMBERS = 200_000


def config(**chosen: Any) -> CheckpointConfig:
    defaults = {
        "every": None,
        "every_steps": None,
        "every_minutes": None,
        "keep": 2,
        "keep_best": True,
        "fail_after": 60,
    }
    return build(CheckpointConfig, defaults | chosen, prefix="checkpoint.")


class Training:
    """A state that changes with every step, how it is stored, and what is said about its saves."""

    def __init__(self, run: RunDir, **chosen: Any) -> None:
        self.weight = torch.zeros(NUMBERS)
        self.clock = Clock(time.time())
        self.clock.begin_steps()
        self.warnings: list[str] = []
        self.saver = Saver(
            run, config(**chosen), self, self.clock, Fence(run, 1), History(0.0, 0), self.warnings.append
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight, "weight/step": self.weight[:1]}

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig, fence: Fence) -> None:
        def fill(folder: Path) -> dict[str, Any]:
            write_tensors(folder, {"weight": copies["weight"]}, {"weight/step": copies["weight/step"]})
            return {}

        format.write(run, progress, fill, fence, keep=config.keep, keep_best=config.keep_best)

    def save(self, step: int, **more: Any) -> None:
        """The state of `step`, which is all `step`s."""
        self.weight.fill_(step)
        self.saver.begin(Progress(step=step, **more))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def saved(run: RunDir) -> dict[int, float]:
    """For each whole checkpoint, the step whose state it holds."""
    found = {}
    for path in run.complete_checkpoints():
        manifest.verify(path)
        weight = format.load_file(path / "weights.safetensors")["weight"]
        assert (weight == weight[0]).all()
        found[int(path.name.removeprefix("step-"))] = float(weight[0])
    return found


def test_training_goes_on_while_a_copy_is_written(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writing is held back until three more steps are done: it is the state of step 1 that is written then."""
    training, go_on, write = Training(run), threading.Event(), format.write

    def slowly(*arguments: Any, **chosen: Any) -> None:
        assert go_on.wait(30)
        write(*arguments, **chosen)

    monkeypatch.setattr(format, "write", slowly)
    training.save(1)
    for step in (2, 3, 4):
        training.weight.fill_(step)
        training.saver.check_result()
    assert run.complete_checkpoints() == [] and training.saver.saved_step == 0
    go_on.set()
    training.saver.finish()
    assert saved(run) == {1: 1.0}
    assert training.saver.saved_step == 1


def test_a_save_waits_for_the_one_before(run: RunDir) -> None:
    training = Training(run, keep=9)
    for step in range(1, 8):
        training.save(step)
    training.saver.finish()
    assert saved(run) == {step: step for step in range(1, 8)}


def test_what_a_copy_holds_is_what_was_there(run: RunDir) -> None:
    held = {"a": torch.arange(6).reshape(2, 3).T, "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.tensor(True)}
    copies = Copies()
    for _ in range(2):
        taken = copies.take(held)
        copies.wait()
        assert all(torch.equal(taken[name], held[name]) and taken[name].is_contiguous() for name in held)
        held = {name: torch.zeros_like(tensor) for name, tensor in held.items()}


def test_a_full_disk_keeps_the_last_good_one_and_leaves_no_debris(disk: Disk) -> None:
    run = RunDir(disk.folder / "run")
    training = Training(run)
    training.save(1)
    training.saver.finish()
    disk.fill()
    training.save(2)
    training.saver.finish()
    assert saved(run) == {1: 1.0}
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000001"]
    [warning] = training.warnings
    assert warning == (
        f"The checkpoint {run.checkpoint(2)} cannot be written: {os.strerror(errno.ENOSPC)}. Training goes on; the "
        "last checkpoint is that of step 1."
    )
    disk.clear()
    training.save(3)
    training.saver.finish()
    assert saved(run) == {3: 3.0, 1: 1.0}
    assert len(training.warnings) == 1


def test_it_fails_when_nothing_could_be_saved_for_too_long(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver, "AGAIN", 0.05)
    run = RunDir(disk.folder / "run")
    training = Training(run, fail_after=0.01)  # minutes
    disk.fill()
    training.save(1)
    training.saver.finish()
    assert len(training.warnings) == 1
    time.sleep(0.7)
    assert training.saver.is_due, "a save that failed is tried again soon"
    with pytest.raises(NotSaved, match=r"No space left on device.* for 0 minutes \(checkpoint.fail_after\)"):
        for step in (2, 3):
            training.save(step)
    assert not run.complete_checkpoints()


@pytest.mark.parametrize("kind", ["a file", "a broken link", "read-only"])
def test_other_trouble_is_told_too(disk: Disk, kind: str) -> None:
    run = RunDir(disk.folder)
    if kind == "a file":
        run.checkpoints.touch()
    elif kind == "a broken link":
        run.checkpoints.symlink_to(disk.folder / "nowhere" / "nothing")
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
    training = Training(run)
    training.save(1)
    training.saver.finish()
    [warning] = training.warnings
    assert "cannot be written: " in warning and "step 0" in warning


def test_debris_of_killed_saves_goes_with_the_next(run: RunDir) -> None:
    for step in (3, 9):
        (run.checkpoints / f".step-{step:08d}").mkdir(parents=True)
    training = Training(run)
    training.save(4)
    training.saver.finish()
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000004"]


def test_the_best_stays_beside_the_newest(run: RunDir) -> None:
    training = Training(run)
    losses = {1: 0.9, 2: 0.4, 3: None, 4: 0.6, 5: 0.4, 6: None}
    for step, loss in losses.items():
        training.save(step, validation_loss=loss)
    training.saver.finish()
    assert saved(run) == {6: 6.0, 5: 5.0, 2: 2.0}
    assert format.best_loss(run, run.checkpoint(6)) == 0.4
    without = RunDir(run.path.with_name("without"))
    training = Training(without, keep_best=False)
    for step, loss in losses.items():
        training.save(step, validation_loss=loss)
    training.saver.finish()
    assert sorted(saved(without)) == [5, 6]
    assert format.best_loss(without, without.checkpoint(6)) == 0.4


def test_what_was_saved_is_not_lost(run: RunDir) -> None:
    training = Training(run)
    time.sleep(0.05)
    before = training.clock.seconds()
    assert before.lost == pytest.approx(before.training, abs=0.02)
    training.save(1)
    training.saver.finish()
    after = training.clock.seconds()
    assert after.training - after.lost >= 0.049, "what was trained before the save is kept"


def test_when_a_save_is_due(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    auto, minutes, never = (
        Training(RunDir(run.path / name), **chosen)
        for name, chosen in {
            "auto": {"every": "auto"},
            "minutes": {"every_minutes": 2},
            "never": {},
        }.items()
    )

    def due() -> list[bool]:
        return [training.saver.is_due for training in (auto, minutes, never)]

    now = 1000.0 + UNTIL_KNOWN - 1
    assert due() == [False, False, False]
    now = 1000.0 + UNTIL_KNOWN + 1
    assert due() == [True, False, False]
    now = 1121.0
    assert due() == [True, True, False]
    for training in (auto, minutes):
        training.save(1)
        training.saver.finish()
    auto.saver.stall, auto.saver.writing = 0.1, 1.0
    now = 1121.0 + 79  # Young: sqrt(2 * 0.1 * 8 h) = 76 s, and more as nothing has cut it off for three minutes
    assert due() == [False, False, False]
    now = 1121.0 + 83
    assert due() == [True, False, False]
    auto.saver.stall = 1e3
    assert not auto.saver.is_due
    now += LONGEST
    assert due() == [True, True, False]
