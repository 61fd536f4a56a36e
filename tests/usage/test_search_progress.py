"""Sweeps whose ledger and runs are made by hand, as if in a shell."""

from __future__ import annotations

import os
from typing import Any

import pytest

from passingloop.config.build import to_plain
from passingloop.files import write_json
from passingloop.report.search.search_content import SearchPoint, SearchProgress
from passingloop.report.search.search_tables import headline
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import acquire_lock
from passingloop.search.rungs import Move, Search
from passingloop.search.stalled_search import STILL
from passingloop.search.sweep_ledger import Entry, Reported, SweepFile
from passingloop.usage.search_progress import ITS_TURN, UNDECIDED, search_progress
from tests.conftest import Compose
from tests.usage.told import Told

RULES: dict[str, Any] = {"metric": "validation/loss", "lower_is_better": True, "eta": 3, "rungs": 2, "width": 3}


class Sweep:
    """A search over learning rates, whose rung 1 is at step 10 of 30."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.runs: dict[str, RunDir] = {}
        first = told.runs.compose("name=lr")
        self.file = SweepFile(first.run_root / "lr")
        self.file.folder.mkdir(parents=True)
        self.search = Search(kind="halving", **RULES)
        self.file.write_search(self.search, None)

    def add(self, lr: float, *overrides: str) -> str:
        """A point whose run is there. Returns its signature."""
        words = ("name=lr", f"optim.lr={lr}", *overrides)
        run = self.told.runs.new(*words)
        settings = to_plain(self.told.runs.compose(*words))
        values = {"optim.lr": lr} | dict(word.split("=") for word in overrides)
        self.file.write_points([Entry(run=run.path.name, values=values, settings=settings, reported={})])
        self.runs[run.path.name] = run
        return run.path.name

    def tell(self, name: str, rung: int) -> None:
        events = len(ledger.read(self.runs[name]).events)
        self.file.write_told(self.search, {Move(name, rung): events}, "a command")

    def report(self, name: str, rung: int, value: float | None, why: str | None = None) -> None:
        step = (10, 30)[rung] if value is not None else 0
        self.file.write_values({Move(name, rung): Reported(step=step, value=value, why=why)})

    def train(self, name: str, begin: float, end: float, step: int, **seconds: float) -> None:
        """An attempt on one GPU that ends at `step`."""
        run = self.runs[name]
        self.told.start(run, begin, None)
        self.told.end(run, end, "paused" if step < 30 else "completed", end_step=step, **seconds)

    def progress(self) -> SearchProgress:
        found = search_progress(self.file, list(self.runs.values()))
        assert found
        return found

    def points(self) -> dict[str, SearchPoint]:
        return {point.run.removeprefix("lr/"): point for point in self.progress().points}


@pytest.fixture
def sweep(told: Told) -> Sweep:
    return Sweep(told)


def test_rungs_points_and_what_they_wait_for(sweep: Sweep) -> None:
    best, second, third, failed = (sweep.add(lr) for lr in (1e-4, 2e-4, 3e-4, 4e-4))
    for name, value in ((best, 0.3), (second, 0.4), (third, 0.5), (failed, None)):
        sweep.tell(name, 0)
        sweep.train(name, 0, 100, 10, training=50.0)
        sweep.report(name, 0, value, None if value else "It is failed.")
    sweep.tell(best, 1)
    found = sweep.progress()
    assert [(rung.told, len(rung.values), rung.went_on, rung.failed) for rung in found.rungs] == [
        (4, 3, 1, 1),
        (1, 0, 0, 0),
    ]
    assert [rung.step for rung in found.rungs] == [10, None]
    assert found.rungs[0].best == 0.3
    assert [point.run.removeprefix("lr/") for point in found.points] == [best, second, third, failed]
    assert [point.standing for point in found.points] == ["stopped", "done", "done", "done"]
    assert found.points[-1].message == "It is failed."
    assert not found.is_over
    assert [sentence.partition(",")[0] for sentence in found.waits] == ["1 point is to train on"]


def test_a_sweep_whose_last_decider_was_killed_stands_still(sweep: Sweep) -> None:
    """Between the end of its run and its decision: once before the value was written, once after."""
    names = [sweep.add(lr) for lr in (1e-4, 2e-4, 3e-4)]
    for name in names:
        sweep.tell(name, 0)
        sweep.train(name, 0, 100, 10, training=50.0)
    for name in names[:2]:
        sweep.report(name, 0, 0.3)
    before = sweep.progress()
    assert (before.is_over, before.stands_still, before.waits) == (False, True, (STILL,))
    assert {point.message for point in before.points} == {None, UNDECIDED}
    assert "given again, goes on" in STILL
    sweep.report(names[2], 0, 0.4)
    after = sweep.progress()
    assert (after.is_over, after.stands_still, after.waits) == (False, True, (STILL,))
    assert headline(after).startswith("lr: halving by validation/loss, 3 points, standing still.")
    lock = acquire_lock(sweep.runs[names[0]])  # its job decides
    sweep.told.start(sweep.runs[names[0]], 100, None)
    assert not sweep.progress().stands_still
    os.close(lock)


def test_a_rung_is_decided_once_all_have_a_value(sweep: Sweep) -> None:
    here, there = sweep.add(1e-4), sweep.add(2e-4)
    for name in (here, there):
        sweep.tell(name, 0)
    sweep.train(here, 0, 100, 10, training=50.0)
    sweep.report(here, 0, 0.3)
    assert "Who goes on from rung 1 is decided once 1 more point has a value there." in sweep.progress().waits
    lock = acquire_lock(sweep.runs[there])  # it trains
    sweep.told.start(sweep.runs[there], 0, None)
    assert {name: point.standing for name, point in sweep.points().items()} == {here: "done", there: "trains"}
    os.close(lock)


def test_points_of_a_command_wait_for_their_turn(sweep: Sweep) -> None:
    here, next_one = sweep.add(1e-4), sweep.add(2e-4)
    for name in (here, next_one):
        sweep.tell(name, 0)
    lock = acquire_lock(sweep.runs[here])
    sweep.told.start(sweep.runs[here], 0, None)
    assert sweep.points()[next_one].standing == "waits"
    assert f"1 point waits: {ITS_TURN}" in sweep.progress().waits
    os.close(lock)
    assert sweep.points()[next_one].standing == "stopped"


def test_time_and_what_the_full_grid_would_take(sweep: Sweep) -> None:
    """A start takes 40 s, a step 4 s, the evaluations 1 s a step: 190 s each for the whole of 30 steps."""
    best, *others = (sweep.add(lr) for lr in (1e-4, 2e-4, 3e-4))
    for name in (best, *others):
        sweep.tell(name, 0)
        sweep.train(name, 0, 90, 10, training=50.0, evaluating=10.0)
        sweep.report(name, 0, 0.3)
    cost = sweep.progress().cost
    assert (cost.hours, cost.gpu_hours) == pytest.approx((270 / 3600, 270 / 3600))
    assert cost.full_hours == pytest.approx(3 * 190 / 3600)
    assert cost.share == pytest.approx(270 / 570)
    sweep.tell(best, 1)
    sweep.train(best, 200, 340, 30, training=100.0, evaluating=20.0)
    sweep.report(best, 1, 0.2)
    cost = sweep.progress().cost
    assert cost.hours == pytest.approx(410 / 3600)
    assert cost.full_hours == pytest.approx(3 * 190 / 3600)


def test_points_that_came_later_may_differ_in_more(sweep: Sweep) -> None:
    first = sweep.add(1e-4)
    later = sweep.add(1e-4, "trainer.seed=2")
    assert sweep.progress().parameters == ("optim.lr", "trainer.seed")
    found = sweep.points()
    assert (found[first].settings["trainer.seed"], found[later].settings["trainer.seed"]) == (1, 2)
    assert {point.standing for point in found.values()} == {"new"}


def test_a_damaged_run_does_not_hide_the_others(sweep: Sweep) -> None:
    names = [sweep.add(lr) for lr in (1e-4, 2e-4)]
    for name in names:
        sweep.tell(name, 0)
        sweep.train(name, 0, 100, 10, training=50.0)
        sweep.report(name, 0, 0.3)
    sweep.runs[names[0]].record.write_text("{")
    found = sweep.points()
    assert [found[name].hours > 0 for name in names] == [False, True]


def test_runs_without_a_search_are_one_rung(told: Told, compose: Compose) -> None:
    runs = [told.runs.new("name=plain", f"optim.lr={lr}") for lr in (1e-4, 2e-4, 3e-4)]
    for run, accuracy in zip(runs[:2], (0.7, 0.9), strict=True):
        told.start(run, 0, None)
        told.end(run, 60, "completed", end_step=30, training=30.0)
        write_json(run.result, {"state": "completed", "steps": 30, "metrics": {"test/accuracy": accuracy}})
    told.start(runs[2], 0, None)
    told.end(runs[2], 60, "crash", end_step=3, training=3.0)
    file = SweepFile(runs[0].path.parent)
    found = search_progress(file, runs)
    assert found
    assert (found.kind, found.metric, found.eta, found.parameters) == ("grid", "test/accuracy", None, ("optim.lr",))
    assert [point.value for point in found.points] == [0.9, 0.7, None]
    assert [point.standing for point in found.points] == ["done", "done", "stopped"]
    assert not found.is_over
    assert search_progress(file, runs[:1]) is None
