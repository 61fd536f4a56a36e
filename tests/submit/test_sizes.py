"""Which size a run gets: tables of ranges, measured speeds and estimated starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.rundir.events import End, Event, Seconds
from passingloop.rundir.ledger import Ledger
from passingloop.submit.sizes import Offer, Pace, Size, chosen, sizes, step_seconds
from tests.conftest import Compose
from tests.rundir.events import start

HOUR = 3600.0
ONE, TWO, FOUR, EIGHT = (Size(1, gpus) for gpus in (1, 2, 4, 8))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [Size(1, 1)]),
        (("resources.gpus=3",), [Size(1, 3)]),
        (("resources.gpus=1-4",), [Size(1, n) for n in (1, 2, 3, 4)]),
        (("resources.gpus=3-3",), [Size(1, 3)]),
        (("resources.gpus=4-20",), [Size(1, n) for n in (4, 5, 6, 7, 8, 16, 20)]),
        (("resources.gpus=2", "resources.nodes=1-3"), [Size(1, 2), Size(2, 2), Size(3, 2)]),
        (("resources.gpus=1-2", "resources.nodes=2-3"), [Size(2, 1), Size(2, 2), Size(3, 2)]),
        (("resources.gpus=0", "resources.nodes=1-2"), [Size(1, 0), Size(2, 0)]),
        (("resources.nodes=1-2",), [Size(1, 1), Size(2, 1)]),
    ],
)
def test_the_sizes_of_a_range(words: tuple[str, ...], expected: list[Size], compose: Compose) -> None:
    assert sizes(compose(*words).resources, default_gpus=1) == expected


def attempt(number: int, gpus: int | None, steps: int, seconds: float, nodes: int = 1) -> list[Event]:
    began = start(number, gpus=gpus, start_step=100 * number, nodes=[f"n{n}" for n in range(nodes)])
    end = End(attempt=number, end_step=100 * number + steps, cause="preempted", seconds=Seconds(training=seconds))
    return [began, end]


def test_the_speed_is_that_of_the_newest_attempt_of_a_size() -> None:
    events = [
        *attempt(1, 2, 10, 20.0),
        *attempt(2, 2, 10, 5.0),
        *attempt(3, 4, 2, 100.0),  # too few steps
        *attempt(4, None, 50, 50.0),  # by an earlier version, which did not write down how many
        *attempt(5, 2, 20, 4.0, nodes=2),
        start(6, gpus=8),  # has no end
    ]
    assert step_seconds(Ledger(tuple(events))) == {TWO: 0.5, Size(2, 2): 0.2}


def pace(measured: dict[Size, float] | None = None, steps: int | None = 1000, smallest: Size = ONE) -> Pace:
    return Pace(measured=measured or {}, steps=steps, assumed=HOUR, smallest=smallest)


@pytest.mark.parametrize(
    ("measured", "size", "seconds"),
    [
        ({TWO: 0.5}, TWO, 500.0),
        ({ONE: 1.0}, EIGHT, 1000 * (0.05 + 0.95 / 8)),
        ({FOUR: 0.2875}, ONE, 1000.0),
        ({ONE: 1.0, TWO: 0.5}, EIGHT, 125.0),  # linear so far
        ({ONE: 1.0, TWO: 0.6}, FOUR, 400.0),  # 0.2 s of each step are not shortened
        ({ONE: 1.0, TWO: 0.4}, FOUR, 1000 * (1 + 0.2) / (1 + 0.25) / 4),  # faster than linear is taken for linear
        ({ONE: 1.0, TWO: 1.5}, FOUR, 1250.0),  # more were no help
        ({ONE: 1.0, TWO: 1.5}, TWO, 1500.0),
        ({}, ONE, HOUR),
        ({}, EIGHT, HOUR * (0.05 + 0.95 / 8)),
    ],
)
def test_how_long_the_rest_takes(measured: dict[Size, float], size: Size, seconds: float) -> None:
    assert pace(measured).seconds(size) == pytest.approx(seconds)


def test_without_a_number_of_steps_the_speed_says_how_sizes_compare() -> None:
    unknown = pace({ONE: 1.0, TWO: 1.0}, steps=None)
    assert (unknown.seconds(ONE), unknown.seconds(EIGHT), unknown.is_measured) == (HOUR, HOUR, False)
    assert replace(unknown, smallest=FOUR, measured={ONE: 1.0, TWO: 0.5}).seconds(EIGHT) == HOUR / 2


LINEAR = pace({ONE: 1.0, TWO: 0.5}, steps=3600)
"""An hour with one GPU, half an hour with two."""


@pytest.mark.parametrize(
    ("starts", "rest", "expected"),
    [
        ({ONE: 0, TWO: 0, FOUR: 0, EIGHT: 0}, LINEAR, EIGHT),
        ({ONE: 0, TWO: 0, FOUR: 24 * HOUR, EIGHT: 24 * HOUR}, LINEAR, TWO),  # goes on with what is free
        ({ONE: 0, TWO: 0, FOUR: 600, EIGHT: 2 * HOUR}, LINEAR, FOUR),  # a wait that pays
        ({ONE: 0, EIGHT: 0.9 * HOUR}, LINEAR, ONE),  # one that does not
        ({ONE: 5 * HOUR, TWO: 5 * HOUR, EIGHT: 5.2 * HOUR}, LINEAR, EIGHT),  # what all wait counts for none
        ({ONE: None, TWO: 7200, EIGHT: None}, LINEAR, TWO),
        ({ONE: -3, TWO: -3}, LINEAR, TWO),
        ({ONE: 0, TWO: 0, FOUR: 0}, pace({ONE: 1.0, TWO: 0.9, FOUR: 1.4}), TWO),  # more would be slower
        ({ONE: 0, TWO: 0}, pace({ONE: 1.0, TWO: 0.97}), ONE),  # more would be hardly faster
        ({ONE: 0, TWO: 0, FOUR: 0, EIGHT: 0}, pace(), EIGHT),  # nothing is measured
        ({ONE: 0, EIGHT: 0.9 * HOUR}, pace(), ONE),
        ({TWO: 0, Size(2, 2): 0, Size(4, 2): HOUR}, pace({TWO: 1.0, Size(2, 2): 0.6}), Size(2, 2)),
        ({ONE: 0, TWO: 0}, pace({ONE: 1.0}, steps=0), ONE),  # only the export is left
    ],
)
def test_the_size_with_which_it_finishes_soonest(starts: dict[Size, Any], rest: Pace, expected: Size) -> None:
    offers = [Offer(size, seconds) for size, seconds in starts.items()]
    for order in (offers, offers[::-1]):
        best = chosen(order, rest)
        assert best
        assert best.size == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.97, TWO), (0.9, TWO), (1.2, ONE)])
def test_a_size_that_the_run_has_is_kept_if_a_smaller_one_is_no_better(seconds: float, expected: Size) -> None:
    best = chosen([Offer(ONE, 0.0), Offer(TWO, 0.0)], pace({ONE: 1.0, TWO: seconds}), keep=TWO)
    assert best
    assert best.size == expected


def test_without_estimates_nothing_is_chosen() -> None:
    assert chosen([Offer(ONE, None), Offer(TWO, None)], LINEAR) is None
    assert chosen([], LINEAR) is None


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (ONE, "1 GPU"),
        (TWO, "2 GPUs"),
        (Size(2, 4), "2 nodes of 4 GPUs"),
        (Size(3, 0), "3 nodes"),
        (Size(1, 0), "1 node"),
    ],
)
def test_a_size_in_words(size: Size, words: str) -> None:
    assert str(size) == words
