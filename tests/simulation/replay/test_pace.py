"""How fast the time goes: fast up to what is known to come, slow while something is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from passingloop.simulation.replay.pace import AFTERWARDS, FIRST_GUESS_S, LAUNCH_S, PATIENCE_S, PREEMPTION, Pace


@dataclass
class Dial:
    """A clock of which only the hand that sets it is looked at."""

    set_to: list[tuple[float, float | None, float]] = field(default_factory=list)

    def now(self) -> float:
        return 0.0

    def limit(self, fastest: float) -> None:
        raise AssertionError("the pace sets no limit")

    def go(self, rate: float, until: float | None = None, after: float = 1.0) -> None:
        self.set_to.append((rate, until, after))


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def pace(dial: Dial) -> Pace:
    return Pace(clock=dial, factor=600.0)


def test_fast_up_to_what_comes_next_and_not_beyond(pace: Pace, dial: Dial) -> None:
    pace.adjust(now=1.0, next_at=5000.0)
    rate, until, after = dial.set_to[-1]
    assert (rate, until) == (600.0, 5000.0)
    assert after < 600.0


def test_slow_while_something_is_under_way_and_for_a_moment_afterwards(pace: Pace, dial: Dial) -> None:
    pace.begin("a", now=1.0)
    pace.begin("b", now=1.0)
    pace.over("a", now=1.1)
    pace.adjust(now=1.1, next_at=5000.0)
    slow, until, _ = dial.set_to[-1]
    assert slow <= LAUNCH_S / FIRST_GUESS_S
    assert until is None
    pace.over("b", now=1.1)
    pace.adjust(now=1.1, next_at=5000.0)
    assert slow < dial.set_to[-1][0] <= 2 * AFTERWARDS * slow
    pace.adjust(now=1.1 + 2 * FIRST_GUESS_S, next_at=5000.0)
    assert dial.set_to[-1][0] == 600.0


def test_an_end_that_is_seen_before_its_beginning_holds_nothing_up(pace: Pace, dial: Dial) -> None:
    pace.over("a", now=1.0)
    pace.begin("a", now=1.0)
    pace.adjust(now=2.0, next_at=5000.0)
    assert dial.set_to[-1][0] == 600.0


def test_what_never_ends_is_not_waited_for_for_ever(pace: Pace, dial: Dial) -> None:
    pace.begin("a", now=1.0)
    pace.adjust(now=1.0 + PATIENCE_S + 1, next_at=5000.0)
    assert dial.set_to[-1][0] == 600.0


def test_a_busy_machine_slows_the_time_down_until_each_launch_is_as_long_as_before(pace: Pace) -> None:
    """The usual time follows what is seen, and one that takes long counts before it is over."""
    quick = pace.slow_rate(now=0.0)
    for number in range(100):
        pace.begin(number, now=float(number))
        pace.over(number, now=number + 0.02)
    idle = pace.slow_rate(now=100.0)
    assert idle > quick
    pace.begin("late", now=100.0)
    assert pace.slow_rate(now=100.5) <= LAUNCH_S / 0.5
    assert pace.slow_rate(now=110.0) == 1.0


def test_the_clock_is_not_set_to_what_it_is_set_to(pace: Pace, dial: Dial) -> None:
    for _ in range(3):
        pace.adjust(now=1.0, next_at=5000.0)
    assert len(dial.set_to) == 1


def test_a_factor_of_one_is_real_time(dial: Dial) -> None:
    pace = Pace(clock=dial, factor=1.0)
    pace.begin("a", now=1.0)
    pace.adjust(now=1.0, next_at=5000.0)
    pace.over("a", now=1.2)
    pace.adjust(now=2.0, next_at=5000.0)
    assert {rate for rate, _, _ in dial.set_to} <= {1.0}


def test_a_job_that_may_make_others_give_way_is_waited_for_until_they_had_time_to_say_so(
    pace: Pace, dial: Dial
) -> None:
    pace.happened(1.0, PREEMPTION)
    pace.adjust(now=1.0 + 3 * FIRST_GUESS_S, next_at=5000.0)
    assert dial.set_to[-1][0] < 600.0
    pace.happened(1.0 + 3 * FIRST_GUESS_S)  # it started, so that nobody has to
    pace.adjust(now=1.1 + 4 * FIRST_GUESS_S, next_at=5000.0)
    assert dial.set_to[-1][0] == 600.0
