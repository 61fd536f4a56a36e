"""By how much jobs have started later than expected, from what submissions and ledgers keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Request
from passingloop.rundir.start_history import start_errors
from passingloop.rundir.submission import Home
from passingloop.rundir.tasks import TrainTask
from tests.rundir.events import start


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.for_user(tmp_path)
    home.create()
    return home


def submitted(home: Home, number: int, *starts: str, cluster: str = "dev", expected: str | None = "08:00:00") -> None:
    """A run that was expected to start at `expected`, and whose job has started at `starts`."""
    run = RunDir(home.path.parent / "name" / f"{number:012x}")
    run.path.mkdir(parents=True)
    submission = home.new_submission()
    request = Request(nodes=1, gpus=2, cluster=cluster, expected_start=expected and f"2026-11-21T{expected}.000+00:00")
    submission.write_intent([TrainTask(run=run, code={}, settings={})], Path("0123"), request=request)
    submission.accept(str(number))
    for attempt, time in enumerate(starts, start=1):
        event = start(attempt, submission.name, str(number), time=f"2026-11-21T{time}.000+00:00")
        ledger.append(run, event)


def test_the_first_start_of_each_job_counts(home: Home) -> None:
    submitted(home, 1, "08:00:07", "11:00:00")
    submitted(home, 2, "07:59:30")
    submitted(home, 3)  # waits
    submitted(home, 4, "09:00:00", expected=None)
    submitted(home, 5, "09:00:00", cluster="other")
    home.new_submission().folder.mkdir()  # the command died
    assert sorted(start_errors(home, "dev")) == [-30.0, 7.0]
    assert start_errors(home, "other") == [3600.0]


def test_before_anything_is_submitted_nothing_is_known(tmp_path: Path) -> None:
    assert start_errors(Home.for_user(tmp_path), "dev") == []
