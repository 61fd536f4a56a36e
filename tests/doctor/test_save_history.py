"""How long saves have taken, from run directories."""

from __future__ import annotations

import os
from pathlib import Path

from passingloop.doctor.save_history import slowest_save
from passingloop.rundir import ledger
from passingloop.rundir.directory import MANIFEST, RunDir
from passingloop.rundir.events import Cause, End, Seconds


def stopped(root: Path, signature: str, cause: Cause, saving: float, apart: float) -> RunDir:
    """A run whose attempt waited `saving` seconds for checkpoints, and the newest of these was written in `apart`."""
    run = RunDir(root / "name" / signature)
    folder = run.checkpoint(7)
    folder.mkdir(parents=True)
    for number, name in enumerate(("weights.safetensors", MANIFEST)):
        (folder / name).write_bytes(bytes(1000))
        os.utime(folder / name, (1e9, 1e9 + number * apart))
    ledger.append(run, End(attempt=1, end_step=7, cause=cause, seconds=Seconds(saving=saving)))
    return run


def test_the_slowest_of_those_that_were_stopped_counts(tmp_path: Path) -> None:
    stopped(tmp_path, "aaaa", "preempted", saving=4.0, apart=3.0)
    slow = stopped(tmp_path, "bbbb", "cancelled", saving=40.0, apart=30.0)
    stopped(tmp_path, "cccc", "completed", saving=400.0, apart=300.0)  # with the export
    found = slowest_save(tmp_path)
    assert found
    assert (found.run, found.at_most, found.at_least, found.bytes) == (str(slow.path), 40.0, 30.0, 2000)


def test_where_nothing_was_stopped_nothing_is_measured(tmp_path: Path) -> None:
    assert slowest_save(tmp_path / "runs") is None
    stopped(tmp_path, "cccc", "completed", saving=400.0, apart=300.0)
    run = stopped(tmp_path, "dddd", "preempted", saving=4.0, apart=3.0)
    (run.checkpoint(7) / MANIFEST).unlink()  # it could not be saved
    assert slowest_save(tmp_path) is None


def test_runs_of_others_are_left_out(tmp_path: Path, monkeypatch) -> None:
    stopped(tmp_path, "aaaa", "preempted", saving=4.0, apart=3.0)
    assert slowest_save(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert slowest_save(tmp_path) is None
