"""What of a process counts as going forward, by what it is doing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.rundir import beats
from passingloop.rundir.directory import RunDir
from passingloop.vitals.beat_thread import BeatThread, transferred_bytes
from passingloop.vitals.marks import Evidence, Marks


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
    marks = Marks()
    marks.enter("doing something", evidence)
    thread = BeatThread(RunDir(tmp_path), 1, 0, 1800.0, marks)
    thread.look_at_work()
    before = marks.signs
    does(tmp_path)
    thread.look_at_work()
    assert (marks.signs > before) is counts


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
