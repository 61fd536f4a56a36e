"""What parts of an attempt's time are counted as."""

from __future__ import annotations

import time
from collections.abc import Iterator

from passingloop.train.meters.clock import Clock

TICK = 0.03


def test_evaluations_and_waits_for_data_are_parts_of_training() -> None:
    clock = Clock(time.time())

    def batches() -> Iterator[int]:  # the second one takes long
        yield 1
        time.sleep(3 * TICK)
        yield 2

    clock.begin_steps()
    assert list(clock.waiting(batches())) == [1, 2]
    with clock.evaluating():
        time.sleep(TICK)
    with clock.saving():
        time.sleep(TICK)
    seconds = clock.seconds()
    assert seconds.data_wait is not None
    assert seconds.evaluating is not None
    assert seconds.data_wait >= 3 * TICK
    assert seconds.evaluating >= TICK
    assert seconds.saving >= TICK
    rounding = 0.002  # each has three decimals
    assert seconds.training + rounding >= seconds.data_wait + seconds.evaluating


def test_a_wait_that_the_device_works_through_costs_nothing() -> None:
    clock, busy = Clock(time.time()), iter((False, True))

    def batches() -> Iterator[int]:
        for batch in (1, 2):
            time.sleep(batch * 2 * TICK)
            yield batch

    clock.begin_steps()
    assert list(clock.waiting(batches(), lambda: not next(busy))) == [1, 2]
    assert 2 * TICK <= clock.data_wait < clock.training - 4 * TICK + 0.001


def test_time_between_batches_is_no_wait() -> None:
    clock = Clock(time.time())
    clock.begin_steps()
    for _ in clock.waiting([1, 2]):
        time.sleep(TICK)
    seconds = clock.seconds()
    assert seconds.data_wait is not None
    assert seconds.data_wait < seconds.training - TICK
