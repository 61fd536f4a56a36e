"""Who goes on: by examples, and for whatever values come in whatever order."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.search.rungs import Kind, Move, Point, Search, is_over, moves, ranked


def search(kind: Kind = "halving", eta: int = 3, rungs: int = 3, width: int = 100) -> Search:
    return Search(kind=kind, metric="validation/loss", lower_is_better=True, eta=eta, rungs=rungs, width=width)


def names(count: int) -> list[str]:
    return [f"p{number:02d}" for number in range(count)]


class Play:
    """A search whose points report what `values` has for them, in the order of `rng`."""

    def __init__(self, rules: Search, values: Mapping[str, float | None], rng: random.Random) -> None:
        self.rules, self.values, self.rng = rules, values, rng
        self.points = {name: Point(run=name) for name in values}
        self.most_open = 0

    def decide(self) -> list[Move]:
        found = moves(self.rules, list(self.points.values()))
        for move in found:
            assert self.points[move.run].told == (move.rung - 1 if move.rung else None)
            self.points[move.run] = replace(self.points[move.run], told=move.rung)
        self.most_open = max(self.most_open, len(self.open))
        return found

    @property
    def open(self) -> list[Point]:
        return [point for point in self.points.values() if point.is_open]

    def report(self) -> None:
        point = self.rng.choice(self.open)
        assert point.told is not None
        value = self.values[point.run]
        self.points[point.run] = replace(point, values={**point.values, point.told: value})

    def run(self) -> None:
        self.decide()
        while self.open:
            self.report()
            self.decide()

    def at(self, rung: int) -> set[str]:
        return {name for name, point in self.points.items() if point.told is not None and point.told >= rung}


def test_a_rung_takes_the_best_third_of_the_one_below() -> None:
    play = Play(search(), {name: float(number) for number, name in enumerate(names(27))}, random.Random(1))
    play.run()
    assert [len(play.at(rung)) for rung in range(3)] == [27, 9, 3]
    assert play.at(2) == {"p00", "p01", "p02"}


def test_the_last_rung_is_the_whole_training() -> None:
    assert [search().fraction(rung) for rung in range(3)] == pytest.approx([1 / 9, 1 / 3, 1])
    assert search().fraction(2) == 1.0


def test_halving_waits_for_the_last_and_asha_for_nobody() -> None:
    points = [Point(run=name, told=0, values={0: float(number)}) for number, name in enumerate(names(8))]
    points.append(Point(run="late", told=0))
    assert moves(search("halving"), points) == []
    assert moves(search("asha"), points) == [Move("p00", 1), Move("p01", 1)]


def test_asha_begins_new_points_where_nobody_can_go_on() -> None:
    points = [Point(run="a", told=0, values={0: 1.0}), Point(run="b"), Point(run="c")]
    assert moves(search("asha", width=1), points) == [Move("b", 0)]


def test_a_point_that_came_later_may_go_on_as_well_and_nobody_is_called_back() -> None:
    values = {name: float(number + 10) for number, name in enumerate(names(9))}
    play = Play(search(), values, random.Random(2))
    play.run()
    assert play.at(1) == {"p00", "p01", "p02"}
    play.values = {**values, "new": 1.0}
    play.points["new"] = Point(run="new")
    play.run()
    assert play.at(1) == {"p00", "p01", "p02", "new"}


def test_a_late_value_in_place_of_a_failure_counts() -> None:
    points = [Point(run=name, told=0, values={0: float(number)}) for number, name in enumerate(names(3))]
    points[0] = replace(points[0], told=1, values={0: 0.0, 1: 0.0})
    points.append(Point(run="failed", told=0, values={0: None}))
    assert moves(search(rungs=2), points) == []
    points[-1] = replace(points[-1], values={0: -1.0})
    assert moves(search(rungs=2), points) == [Move("failed", 1)]


def test_nan_is_worse_than_everything_and_nobody_goes_on_where_all_failed() -> None:
    points = [Point(run="a", told=0, values={0: math.nan}), Point(run="b", told=0, values={0: 5.0})]
    assert moves(search(), points) == [Move("b", 1)]
    failed = [Point(run="a", told=0, values={0: None}), Point(run="b", told=0, values={0: math.inf})]
    assert moves(search(), failed) == []
    assert is_over(search(), failed)


def test_higher_is_better_for_accuracies() -> None:
    rules = replace(search(), metric="validation/accuracy", lower_is_better=False)
    points = [Point(run=name, told=0, values={0: float(number)}) for number, name in enumerate(names(3))]
    assert [point.run for point in ranked(rules, points, 0)] == ["p02", "p01", "p00"]


VALUES = st.lists(st.one_of(st.none(), st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=30)
RULES = st.builds(
    search,
    kind=st.sampled_from(["halving", "asha"]),
    eta=st.integers(2, 4),
    rungs=st.integers(1, 4),
    width=st.integers(1, 9),
)


@given(VALUES, RULES, st.integers())
def test_whatever_comes_it_ends_and_one_of_the_best_is_trained_whole(
    values: Sequence[float | None], rules: Search, seed: int
) -> None:
    """For values that do not change from rung to rung."""
    play = Play(rules, dict(zip(names(len(values)), values, strict=True)), random.Random(seed))
    play.run()
    assert is_over(rules, list(play.points.values()))
    assert play.at(0) == set(play.points)
    best = ranked(rules, list(play.points.values()), 0)
    assert bool(play.at(rules.last)) == bool(best or rules.rungs == 1)
    if rules.kind == "halving":
        for rung in range(rules.last):
            assert len(play.at(rung + 1)) <= max(1, len(play.at(rung)) // rules.eta)
    else:
        assert play.most_open <= rules.width
    if best:
        assert best[0].run in play.at(rules.last)


@given(VALUES, RULES, st.integers())
def test_asked_twice_nothing_is_decided_twice(values: Sequence[float | None], rules: Search, seed: int) -> None:
    play = Play(rules, dict(zip(names(len(values)), values, strict=True)), random.Random(seed))
    play.decide()
    while play.open:
        if rules.kind == "halving":
            assert play.decide() == []
        play.report()
        play.decide()
        assert len({(point.run, point.told) for point in play.points.values()}) == len(play.points)
    assert play.decide() == []


@given(VALUES, RULES)
def test_the_order_of_values_does_not_matter_to_halving(values: Sequence[float | None], rules: Search) -> None:
    rules = replace(rules, kind="halving")
    plays = [Play(rules, dict(zip(names(len(values)), values, strict=True)), random.Random(seed)) for seed in (1, 2)]
    for play in plays:
        play.run()
    assert plays[0].points == plays[1].points
