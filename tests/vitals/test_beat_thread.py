"""What of a process counts as going forward, by what it is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.vitals import beats
from passingloop.vitals.beat_thread import BeatThread, transferred_bytes
from passingloop.vitals.marks import Evidence, Marks

ROOT = Path(__file__).parents[2]


def work(_: Path) -> None:
    until = time.process_time() + 0.3
    while time.process_time() < until:
        sum(range(1000))


def write(folder: Path) -> None:
    (folder / "file").write_bytes(bytes(1 << 20))


def rest(_: Path) -> None:
    time.sleep(0.3)


@pytest.mark.parametrize(
    ("evidence", "does", "counts"),
    [
        ("marks", work, False),
        ("marks", write, False),
        ("bytes", work, False),
        ("bytes", write, True),
        ("work", work, True),
        ("work", write, True),
        ("work", rest, False),
        ("bytes", rest, False),
    ],
)
def test_what_counts(tmp_path: Path, evidence: Evidence, does: Callable[[Path], None], counts: bool) -> None:
    """In a process of its own: other tests may have left threads in this one."""
    command = [sys.executable, "-P", "-m", "tests.vitals.test_beat_thread", evidence, does.__name__, str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=-1, text=True, check=True
    )
    assert int(done.stdout) == counts


def given_signs(evidence: Evidence, does: str, folder: Path) -> int:
    """How many signs of life a process gives while it does something."""
    marks = Marks()
    marks.enter("doing something", evidence)
    thread = BeatThread(RunDir(folder), 1, 0, 1800.0, marks)
    thread.look_at_work()
    before = marks.signs
    globals()[does](folder)
    thread.look_at_work()
    return marks.signs - before


def test_bytes_are_counted(tmp_path: Path) -> None:
    before = transferred_bytes()
    write(tmp_path)
    assert transferred_bytes() - before >= 1 << 20


def test_marks_that_all_pass_are_places_and_others_are_not() -> None:
    marks = Marks()
    marks.enter("in the forward pass", "marks", 3)
    marks.sign()
    marks.enter("in the backward pass", "marks")
    assert (marks.doing, marks.step, marks.place, marks.signs) == ("in the backward pass", 3, 2, 3)


@pytest.mark.parametrize(
    ("stuck", "period"), [(1800.0, 10.0), (60.0, 3.0), (1.0, 0.2)], ids=["30 min", "1 min", "as short as can be"]
)
def test_beats_are_often_enough_and_not_too_often(stuck: float, period: float) -> None:
    assert beats.period(stuck) == period


if __name__ == "__main__":
    print(given_signs(sys.argv[1], sys.argv[2], Path(sys.argv[3])))  # type: ignore[arg-type]
