"""The members of a pack that are not at work."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from passingloop.attempts.pack import TURN, _is_to_be_requeued, _Pack
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, Queued, Wait
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask


def make_run(folder: Path) -> RunDir:
    folder.mkdir()
    run = RunDir(folder)
    ledger.append(run, Queued(submission="s", job_id="1"))
    return run


def test_those_whose_turn_has_not_come_are_told_once(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in "abc"]
    tasks = deque(TrainTask(run=run, code={}, settings={}) for run in runs)  # type: ignore[arg-type]
    pack = _Pack(Submission.from_folder(tmp_path), tmp_path, at_once=1, waiting=tasks)
    for _ in range(2):
        pack.begin_members()
    assert list(pack.running) == runs[:1]
    pack.running[runs[0]].wait()  # it ends at once: there is no such submission
    waits = [ledger.read(run).events_of(Wait) for run in runs]
    assert [[wait.reason for wait in theirs] for theirs in waits] == [[], [TURN], [TURN]]


def test_who_waited_is_requeued_by_the_decision_before(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    assert not _is_to_be_requeued(run)
    ledger.append(run, Decision(attempt=1, action="requeue", reason="preempted"))
    ledger.append(run, Wait(attempt=2, reason=TURN))
    assert _is_to_be_requeued(run)
