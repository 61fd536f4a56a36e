"""Throughput, padding, data wait and MFU follow from what was counted and from the clock."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from passingloop.train.meters.clock import Clock
from passingloop.train.meters.flops import ModelSize, Operations
from passingloop.train.meters.tally import RECENT_STEPS, Meter, Tally, open_meter, peak_memory

CPU = torch.device("cpu")
SIZE = ModelSize(per_token=8.0, per_token_without_embedding=6.0, width=0.0, windows=(), is_causal=False)
TICK = 0.05


class Hands(Clock):
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        super().__init__(time.time())
        self.at = self.waited = 0.0

    stepping = property(lambda self: self.at)  # type: ignore[assignment]
    data_wait = property(lambda self: self.waited)  # type: ignore[assignment]


def test_the_speed_of_the_last_steps_and_of_all() -> None:
    clock = Hands()
    meter = open_meter(clock, SIZE, Tally(), CPU, 2)
    for step in range(RECENT_STEPS + 10):  # the first ten are ten times as slow, and wait for half of their time
        slow = step < 10
        clock.at += 1.0 if slow else 0.1
        clock.waited += 0.5 if slow else 0.0
        meter.count(np.array([3, 5]), filled=4, places=5)
    recent, total = meter.recent, meter.total.speed
    assert (recent.samples_per_second, recent.tokens_per_second) == pytest.approx((20.0, 80.0))
    assert recent.data_wait == 0.0
    assert total.samples_per_second == pytest.approx(60 / 12)
    assert total.data_wait == pytest.approx(5 / 12)
    assert total.padding == pytest.approx(0.2)
    assert total.mfu is None, "a CPU has no peak here"


def test_an_attempt_goes_on_with_the_tally_of_its_checkpoint() -> None:
    clock = Hands()
    meter = Meter(clock, SIZE, Tally(), CPU, 100.0)
    clock.at, clock.waited = 4.0, 1.0
    meter.count(np.array([10]), filled=10, places=16)
    total = meter.total
    saved = Tally.from_json(json.loads(json.dumps(dataclasses.asdict(total))))
    assert saved == total
    clock = Hands()
    meter = Meter(clock, SIZE, saved, CPU, 200.0)
    clock.at = 2.0
    meter.count(np.array([20]), filled=20, places=32)
    total = meter.total
    assert (total.samples, total.tokens, total.filled, total.places) == (2, 30, 30, 48)
    assert (total.seconds, total.data_wait) == (6.0, 1.0)
    assert total.operations == Operations(all_parameters=240.0, without_embedding=180.0, causal=180.0)
    assert total.possible == 4 * 100 + 2 * 200
    assert total.speed.mfu == pytest.approx({"all_parameters": 0.3, "without_embedding": 0.225, "causal": 0.225})
    recent = meter.recent
    assert (recent.tokens_per_second, recent.mfu) == (
        10.0,
        {"all_parameters": 0.4, "without_embedding": 0.3, "causal": 0.3},
    )
    on_a_cpu = Meter(clock, SIZE, meter.total, CPU, None)
    assert on_a_cpu.total.speed.mfu is None, "of a part of the run it is not known"


def test_utilisation_is_over_all_devices_that_the_run_has_had() -> None:
    """Half of its time on a device that is twice as fast as the other."""
    done = Operations(all_parameters=3e12, without_embedding=2e12, causal=1.5e12)
    first = Tally(operations=done, possible=10e12, seconds=10.0)
    second = Tally(operations=done + done + done, possible=10e12 + 20e12, seconds=20.0)
    assert second.speed.mfu == pytest.approx({"all_parameters": 0.3, "without_embedding": 0.2, "causal": 0.15})
    assert second.since(first).speed.mfu == pytest.approx(
        {"all_parameters": 0.3, "without_embedding": 0.2, "causal": 0.15}
    )
    assert dataclasses.replace(second, possible=None).speed.mfu is None
    assert second.since(dataclasses.replace(first, possible=None)).speed.mfu is None


def test_evaluations_and_saves_do_not_slow_training_down() -> None:
    clock = Clock(time.time())
    clock.begin_steps()
    before = clock.stepping
    with clock.evaluating():
        time.sleep(TICK)
    with clock.saving():
        time.sleep(TICK)
    assert clock.stepping - before < TICK
    assert clock.training >= TICK


def test_before_the_first_step_nothing_is_known() -> None:
    speed = Tally().speed
    assert (speed.samples_per_second, speed.padding, speed.data_wait) == (0.0, 0.0, 0.0)
    assert "peak_memory_gb" not in speed.known()


@pytest.fixture
def large() -> Iterator[torch.Tensor]:
    yield torch.ones(2**24)


def test_the_memory_of_a_process_is_what_it_held_at_most(large: torch.Tensor) -> None:
    assert peak_memory(CPU) > large.nbytes
    assert peak_memory(CPU) < 2**40
