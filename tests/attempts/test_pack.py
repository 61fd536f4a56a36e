"""The members of a pack that are not at work."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from passingloop.attempts.pack import TURN, _continues_here, _is_to_be_requeued, _Pack
from passingloop.config.build import to_plain
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, Queued, Wait
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from tests.conftest import Compose
from tests.search.made_points import Sweep


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


def test_who_has_paused_at_a_rung_continues_until_it_is_decided_what_follows(compose: Compose) -> None:
    """Whichever job has decided that it goes on: that of the run does so, unless it has written that it leaves."""
    sweep = Sweep(compose)
    sweep.add(1, 2, 3)
    sweep.decide()
    sweep.queue(1)
    member = TrainTask(run=sweep.run(1), code={}, settings=to_plain(sweep.config(1)))
    assert _continues_here(member, "1")
    sweep.reach(1, 10, loss=0.1)
    assert _continues_here(member, "1")
    for seed in (2, 3):
        sweep.reach(seed, 10, loss=seed)
    assert sweep.decide(without=1) == set()
    assert sweep.content.entries[sweep.run(1).path.name].point.told == 1
    assert _continues_here(member, "1")
    sweep.file.write_left(sweep.run(1), 0)
    assert not _continues_here(member, "1")
    sweep.reach(1, 30, loss=0.1)
    assert _continues_here(member, "1"), "in the job in which it came to the next rung"


def test_who_pauses_without_a_search_is_done(compose: Compose) -> None:
    sweep = Sweep(compose)
    sweep.queue(1)
    sweep.reach(1, 10, loss=0.1)
    config = compose("trainer.pause_at=0.1")
    assert not _continues_here(TrainTask(run=sweep.run(1), code={}, settings=to_plain(config)), "1")
