"""An attempt notices that a newer one has started."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.errors import Superseded
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End
from passingloop.rundir.fence import Fence
from tests.rundir.events import start


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def test_the_newest_attempt_may_write(run: RunDir) -> None:
    fence = Fence(run, 2, "mine")
    fence.check()  # there is no ledger yet
    for event in (start(1), start(2, token="mine"), End(attempt=2, end_step=3, cause="node_fail")):
        ledger.append(run, event)
        fence.check()
    assert not fence.is_superseded()


def test_an_attempt_is_over_for_good_when_a_newer_one_starts(run: RunDir) -> None:
    fence = Fence(run, 1, "mine")
    ledger.append(run, start(1, token="mine"))
    fence.check()
    ledger.append(run, start(2, nodes=["n7", "n8"]))
    for _ in range(2):
        with pytest.raises(Superseded, match=f"Attempt 2 of {run.path} has started on n7, n8, so attempt 1 stops here"):
            fence.check()
    run.attempts.unlink()
    assert fence.is_superseded()


def test_of_two_with_one_number_the_first_in_the_ledger_goes_on(run: RunDir) -> None:
    """As where a file system has lost its locks."""
    first, second = Fence(run, 1, "first"), Fence(run, 1, "second")
    ledger.append(run, start(1, token="first"))
    ledger.append(run, start(1, token="second"))
    first.check()
    with pytest.raises(Superseded):
        second.check()


def test_the_ledger_is_read_once_in_a_while(run: RunDir) -> None:
    """Called in every step it must cost nothing."""
    ledger.append(run, start(1))
    fence = Fence(run, 1)
    assert not fence.is_superseded()
    ledger.append(run, start(2))
    assert not fence.is_superseded(), "it has looked a moment ago"
    with pytest.raises(Superseded):
        fence.check()
