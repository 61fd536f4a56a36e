from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.simulation.traces.offered_load import offered_load, scaled_to_load
from passingloop.simulation.traces.trace import DAY, Trace
from tests.simulation.traces.made import few_examples, job, trace, traces

MANY = trace(*(job(submit_s=600.0 * number, duration_s=60.0 * (1 + number % 7)) for number in range(140)))


def test_only_what_is_computed_in_the_period_counts() -> None:
    made = trace(job(duration_s=DAY / 2, gpus=2), job(submit_s=DAY / 2, duration_s=100 * DAY))
    assert offered_load(made, 4) == (2 * 0.5 + 0.5) / 4


@pytest.mark.parametrize("load", [0.05, 0.3, 0.6])
def test_fewer_jobs_or_copies_offer_the_load(load: float) -> None:
    before = offered_load(MANY, 1)
    scaled = scaled_to_load(MANY, load, 1, seed=3)
    assert offered_load(scaled, 1) == pytest.approx(load, rel=0.02)
    times = Counter((one.duration_s, one.gpus) for one in scaled.jobs)
    originals = Counter((one.duration_s, one.gpus) for one in MANY.jobs)
    more, fewer = int(load / before) + 1, int(load / before)
    assert all(fewer * count <= times[kind] <= more * count for kind, count in originals.items())
    assert "The 140 jobs offer 38.9% of 1 GPUs" in scaled.notes[0]


@few_examples
@given(traces, st.floats(0.01, 3.0), st.integers(0, 3))
def test_the_load_is_reached_or_refused(made: Trace, load: float, seed: int) -> None:
    assume(offered_load(made, 64) > 0.001)
    try:
        scaled = scaled_to_load(made, load, 64, seed)
    except ConfigError:
        return
    assert offered_load(scaled, 64) == pytest.approx(load, rel=0.02)
    assert all(0 <= one.submit_s < made.length_s for one in scaled.jobs)
    assert scaled == scaled_to_load(made, load, 64, seed)


def test_a_burst_stays_together() -> None:
    sweep = [job(submit_s=30_000.0 + 6 * number, duration_s=600) for number in range(20)]
    scaled = scaled_to_load(trace(*sweep), 2 * offered_load(trace(*sweep), 1), 1, seed=0)
    copies = sorted({one.submit_s for one in scaled.jobs} - {one.submit_s for one in sweep})
    assert len(copies) == 20
    assert copies[-1] - copies[0] == 19 * 6


def test_a_load_that_no_choice_offers() -> None:
    with pytest.raises(ConfigError, match=r"load=0.1: of the 1 jobs of made no choice offers this load, the nearest"):
        scaled_to_load(trace(job(duration_s=DAY)), 0.1, 1, seed=0)
    with pytest.raises(ConfigError, match="no job of made holds a GPU"):
        scaled_to_load(trace(job(gpus=0)), 0.1, 1, seed=0)
