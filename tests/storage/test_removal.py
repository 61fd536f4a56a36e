"""Deleting and archiving: only runs, only the user's own, and after a crash the same command goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.errors import RunBusy, RunError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import acquire_lock
from passingloop.storage import removal
from passingloop.storage.removal import (
    archive,
    check_is_run,
    delete,
    remainders,
    remove_remainder,
    superfluous,
    trim,
    unarchive,
)
from tests.cli.made import Runs
from tests.conftest import Compose


@pytest.fixture
def runs(compose: Compose) -> Runs:
    return Runs(compose)


@pytest.fixture
def run(runs: Runs) -> RunDir:
    run = runs.completed("name=a")
    for step in (20, 40):
        checkpoint(run, step)
    run.export.mkdir()
    (run.export / "model.safetensors").write_bytes(b"model")
    return run


def checkpoint(run: RunDir, step: int, *, complete: bool = True) -> None:
    run.checkpoint(step).mkdir(parents=True)
    (run.checkpoint(step) / "weights.safetensors").write_bytes(bytes(1000))
    if complete:
        (run.checkpoint(step) / "manifest.json").write_text("{}")


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_deleted_run_leaves_nothing(run: RunDir, work: Path) -> None:
    outside = work / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (run.path / "link").symlink_to(outside)
    (run.path / "export" / "file").symlink_to(outside / "precious")
    check_is_run(run)
    delete(run)
    assert contents(work / "runs") == []
    assert (outside / "precious").exists()


def test_other_runs_stay(run: RunDir, runs: Runs) -> None:
    other = runs.completed("name=a", "trainer.seed=2")
    delete(run)
    assert [path.name for path in run.path.parent.iterdir()] == [other.path.name]


def as_link(run: RunDir) -> RunDir:
    elsewhere = run.path.rename(run.path.parents[2] / "elsewhere")
    run.path.symlink_to(elsewhere)
    return run


def below_a_link(run: RunDir) -> RunDir:
    elsewhere = run.path.parent.rename(run.path.parents[2] / "elsewhere")
    run.path.parent.symlink_to(elsewhere)
    return run


def with_another_name(run: RunDir) -> RunDir:
    return RunDir(run.path.rename(run.path.with_name("my-thesis")))


def with_a_damaged_record(run: RunDir) -> RunDir:
    run.record.write_text("{")
    return run


def with_a_list_as_record(run: RunDir) -> RunDir:
    run.record.write_text("[]")
    return run


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (as_link, "is a link to"),
        (below_a_link, "is a link to"),
        (with_another_name, "cannot be told to be a run"),
        (with_a_list_as_record, "cannot be told to be a run"),
        (with_a_damaged_record, "cannot be told to be a run"),
        (lambda run: RunDir(run.path.parent), "cannot be told to be a run"),
        (lambda run: RunDir(run.checkpoints), "cannot be told to be a run"),
    ],
)
def test_nothing_but_a_run_is_touched(run: RunDir, spoil: Callable[[RunDir], RunDir], said: str) -> None:
    with pytest.raises(RunError, match=said):
        check_is_run(spoil(run))


def test_a_rerun_is_a_run(runs: Runs) -> None:
    check_is_run(runs.new("name=a", number=2))


def test_someone_elses_run_is_left(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: run.path.stat().st_uid + 1)
    with pytest.raises(RunError, match="someone else's run"):
        check_is_run(run)


def test_what_is_locked_is_left(run: RunDir, work: Path) -> None:
    lock = acquire_lock(run)
    before = contents(run.path)
    for act in (lambda: delete(run), lambda: archive(run, work / "archive"), lambda: trim(run)):
        with pytest.raises(RunBusy, match=f"is at work: process {os.getpid()} on"):
            act()
    os.close(lock)
    assert contents(run.path) == before


def test_a_deletion_that_was_killed_is_recognised_and_goes_on(
    run: RunDir, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path) -> None:
        shutil.rmtree(path / "export")
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "_remove", die)
    with pytest.raises(KeyboardInterrupt):
        delete(run)
    monkeypatch.undo()
    assert not run.path.exists()
    [left] = remainders(work / "runs")
    assert left.parent == run.path.parent
    assert (left / "run.json").exists()
    assert remove_remainder(left) == run
    assert contents(work / "runs") == []


def test_a_remainder_does_not_stop_a_new_run_from_being_deleted(run: RunDir, runs: Runs, work: Path) -> None:
    run.path.rename(run.path.with_name(f"{removal.DELETED}{run.path.name}"))
    delete(runs.completed("name=a"))
    assert contents(work / "runs") == []


def test_remainders_behind_links_are_not_seen(work: Path) -> None:
    (work / "outside" / f"{removal.DELETED}x").mkdir(parents=True)
    (work / "runs").mkdir()
    (work / "runs" / "a").symlink_to(work / "outside")
    assert remainders(work / "runs") == []


def test_there_and_back(run: RunDir, work: Path) -> None:
    before = contents(run.path)
    archived = archive(run, work / "archive")
    assert not run.path.parent.exists()
    assert archived.path == work / "archive" / "a" / run.path.name
    assert unarchive(archived, work / "runs") == run
    assert set(contents(run.path)) - {"lock"} == set(before) - {"lock"}


def test_no_run_is_put_over_another(run: RunDir, runs: Runs, work: Path) -> None:
    archived = archive(run, work / "archive")
    again = runs.completed("name=a")
    with pytest.raises(RunError, match="exists already"):
        archive(again, work / "archive")
    with pytest.raises(RunError, match="exists already"):
        unarchive(archived, work / "runs")
    assert again.record.exists()
    assert archived.record.exists()


def test_a_completed_run_needs_no_checkpoints(run: RunDir) -> None:
    assert superfluous(run) == [run.checkpoints]
    trim(run)
    assert not run.checkpoints.exists()
    assert (run.export / "model.safetensors").exists()
    trim(run)


def test_a_run_that_may_be_continued_keeps_its_checkpoints(run: RunDir) -> None:
    run.result.unlink()
    checkpoint(run, 60, complete=False)
    assert superfluous(run) == [run.checkpoint(60)]
    trim(run)
    assert run.complete_checkpoints() == [run.checkpoint(40), run.checkpoint(20)]


def test_half_of_a_checkpoint_is_none(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "_remove", die)
    with pytest.raises(KeyboardInterrupt):
        trim(run)
    assert run.checkpoints.exists()
    assert run.complete_checkpoints() == []


def test_checkpoints_behind_links_stay(run: RunDir, work: Path) -> None:
    """Of a completed run the links go; of another one they stay as well."""
    elsewhere = run.checkpoints.rename(work / "elsewhere")
    run.checkpoints.symlink_to(elsewhere)
    before = contents(elsewhere)
    result = run.result.read_text()
    run.result.unlink()
    trim(run)
    assert run.checkpoints.is_symlink()
    run.result.write_text(result)
    trim(run)
    assert not run.checkpoints.is_symlink()
    run.checkpoints.mkdir()
    (run.checkpoints / "step-00000040").symlink_to(elsewhere / "step-00000040")
    trim(run)
    assert not run.checkpoints.exists()
    assert contents(elsewhere) == before


def test_a_run_that_is_gone_is_none(run: RunDir) -> None:
    shutil.rmtree(run.path)
    with pytest.raises(RunError, match="is gone: another command"):
        check_is_run(run)
