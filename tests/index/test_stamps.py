"""Whether a change of a run's files is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.index.stamps import UNSETTLED, Stamp, is_unchanged, stamp_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("run.json", "attempts.jsonl", "metrics.jsonl", "config.yaml"):
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def stamp_now(folder: Path) -> Stamp:
    found = stamp_of(str(folder), 0.0)
    assert found
    return found[0]


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("{}\n")


def rewrite_with_the_old_time(path: Path) -> None:
    before = path.stat()
    path.write_text("[]\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").rename(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: append(folder / "attempts.jsonl"),
        lambda folder: append(folder / "metrics.jsonl"),
        lambda folder: rewrite_with_the_old_time(folder / "run.json"),
        lambda folder: replace(folder / "run.json"),
        lambda folder: (folder / "result.json").write_text("{}"),
        lambda folder: (folder / "marks.json").write_text("{}"),
        lambda folder: (folder / "attempts.jsonl").unlink(),
        lambda folder: (folder / "run.json").unlink(),
    ],
)
def test_a_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    stamp = stamp_now(folder)
    assert is_unchanged(str(folder), stamp)
    time.sleep(0.02)  # the kernel counts file times in steps of some milliseconds
    change(folder)
    assert not is_unchanged(str(folder), stamp)


def test_what_is_not_read_does_not_count(folder: Path) -> None:
    (folder / "result.json").write_text("{}")
    stamp = stamp_now(folder)
    append(folder / "metrics.jsonl")
    (folder / "checkpoints" / "step-00000001").mkdir()
    assert is_unchanged(str(folder), stamp)


def test_a_stamp_is_settled_once_its_newest_change_is_old(folder: Path) -> None:
    changed = max(path.stat().st_ctime for path in [folder, *folder.iterdir()])

    def is_settled(taken: float) -> bool:
        found = stamp_of(str(folder), taken)
        assert found
        return found[1]

    assert not is_settled(changed)
    assert not is_settled(changed + UNSETTLED - 0.1)
    assert is_settled(changed + UNSETTLED + 0.1)
    os.utime(folder / "run.json", (0, changed + 3600))  # another machine's clock
    assert not is_settled(changed + UNSETTLED + 0.1)


def test_what_is_no_run_has_no_stamp(tmp_path: Path, folder: Path) -> None:
    (folder / "run.json").unlink()
    assert stamp_of(str(folder), 0.0) is None
    assert stamp_of(str(tmp_path / "absent"), 0.0) is None
    assert stamp_of("x" * 300, 0.0) is None


@pytest.mark.parametrize("closed", ["run.json", "attempts.jsonl"])
def test_a_run_with_a_file_that_is_closed_to_us_has_none(folder: Path, closed: str) -> None:
    """As another user's may be. Commands about many runs would end at it."""
    (folder / closed).chmod(0)
    program = f"from passingloop.index.stamps import stamp_of; print(stamp_of({str(folder)!r}, 0.0))"
    as_user = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    command = [*as_user, sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "None\n"
