"""How often to save: Young's optimum, within limits, from what the run has lived through."""

from __future__ import annotations

import math

import pytest

from passingloop.rundir.events import Cause, End, Seconds
from passingloop.rundir.ledger import Ledger
from passingloop.train.checkpoints.interval import ASSUMED, LONGEST, WEIGHT, History, interval
from tests.rundir.events import start

HOUR = 3600.0


def waste(every: float, stall: float, between_cuts: float) -> float:
    """Share of the time that is lost: to saves, and on average half an interval at each cut."""
    return stall / every + every / (2 * between_cuts)


@pytest.mark.parametrize("stall", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("cuts", [0, 3, 40])
def test_no_other_interval_wastes_less(stall: float, cuts: int) -> None:
    history = History(trained=10 * HOUR, cuts=cuts)
    chosen = interval(stall, 0.0, history, trained=0.0)
    between_cuts = (10 * HOUR + WEIGHT * ASSUMED) / (cuts + WEIGHT)
    if chosen < LONGEST:
        for other in (0.7 * chosen, 1.4 * chosen):
            assert waste(chosen, stall, between_cuts) < waste(other, stall, between_cuts)
    assert chosen == min(LONGEST, math.sqrt(2 * stall * between_cuts))


def test_what_has_been_seen_soon_counts_for_more_than_what_was_assumed() -> None:
    assert interval(1.0, 0.0, History(0.0, 0), 0.0) == pytest.approx(math.sqrt(2 * ASSUMED))
    every_two_minutes = History(480.0, 4)
    assert interval(0.1, 0.0, every_two_minutes, 0.0) < 2 * math.sqrt(2 * 0.1 * 120.0)


def test_the_limits() -> None:
    quiet, rough = History(1000 * HOUR, 0), History(0.0, 1000)
    assert interval(1.0, 0.0, quiet, 0.0) == LONGEST
    assert interval(0.001, 3.0, rough, 0.0) == 30.0, "a save is on its way for a tenth of the time at most"
    assert interval(0.001, 1000.0, rough, 0.0) == LONGEST


def test_cuts_are_ends_without_a_save() -> None:
    def end(attempt: int, cause: Cause, training: float, lost: float = 0.0) -> End:
        return End(attempt=attempt, end_step=0, cause=cause, seconds=Seconds(training=training, lost=lost))

    events = (
        *(start(attempt) for attempt in (1, 2, 3, 4, 5, 6)),
        end(1, "preempted", 100.0),
        end(2, "crash", 50.0, lost=20.0),
        end(4, "preempted", 30.0, lost=30.0),  # it could not save
        end(5, "interrupted", 20.0),
    )
    assert History.from_ledger(Ledger(events), attempt=6) == History(trained=200.0, cuts=3)
    assert History.from_ledger(Ledger(), attempt=1) == History(0.0, 0)
