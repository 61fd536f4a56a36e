from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.simulation.traces.time_fitting import BOUND, DROPPED_MOST, Pace, fitted
from passingloop.simulation.traces.trace import HOUR, Trace
from tests.simulation.traces.made import few_examples, job, trace, traces

PACE = Pace(launch_s=0.1, launches_per_s=10)

LONG = [job(submit_s=700.0 * number, duration_s=6000, gpus=8) for number in range(60)]


def gpu_seconds(made: Trace) -> float:
    return sum(one.gpus * one.duration_s for one in made.jobs)


@few_examples
@given(traces, st.floats(1, 2000), st.floats(0.01, 1))
def test_the_bounds_are_kept_or_the_factor_is_refused(made: Trace, factor: float, launch_s: float) -> None:
    pace = Pace(launch_s=launch_s, launches_per_s=5)
    try:
        fit = fitted(made, pace, factor)
    except ConfigError:
        return
    assert fit.factor == factor
    assert fit.overhead <= BOUND * 1.0001
    assert max(Counter(one.submit_s // HOUR for one in fit.trace.jobs).values()) * factor <= 5 * HOUR
    assert gpu_seconds(fit.trace) >= (1 - DROPPED_MOST) * gpu_seconds(made) - 0.01
    assert bool(fit.left_out) == (fit.trace.jobs != made.jobs)
    assert [one for one in fit.trace.jobs if one.qos == "interactive"] == [
        job(**vars(one) | {"number": kept.number})
        for one, kept in zip(
            (one for one in made.jobs if one.qos == "interactive"),
            (one for one in fit.trace.jobs if one.qos == "interactive"),
            strict=True,
        )
    ]


@few_examples
@given(traces)
def test_without_a_factor_it_is_the_largest_that_leaves_the_trace_as_it_is(made: Trace) -> None:
    fit = fitted(made, PACE)
    assert fit.trace == made
    assert fit.left_out == ()
    assert fit.overhead <= BOUND * 1.0001


def test_the_factor_by_the_launch_of_the_median_job() -> None:
    fit = fitted(trace(*LONG), PACE)
    assert fit.factor == pytest.approx(BOUND * 6000 / 0.1)
    assert fit.overhead == pytest.approx(BOUND)


def test_the_factor_by_the_busiest_hour() -> None:
    at_once = [job(submit_s=0.5 * number, duration_s=600_000) for number in range(100)]
    assert fitted(trace(*at_once), PACE).factor == pytest.approx(10 * HOUR / 100)


def test_short_jobs_of_one_user_become_one_after_another() -> None:
    sweep = [job(submit_s=6.0 * number, duration_s=30) for number in range(100)]
    others = [job(submit_s=6.0 * number, duration_s=30, user="bob", state="failed") for number in range(10)]
    fit = fitted(trace(*LONG, *sweep, *others), PACE, factor=100)
    assert gpu_seconds(fit.trace) == gpu_seconds(trace(*LONG, *sweep, *others))
    assert {one.state for one in fit.trace.jobs if one.user == "bob"} == {"failed"}
    assert {one.state for one in fit.trace.jobs if one.user == "ada"} == {"completed"}
    assert len(fit.trace.jobs) < 120
    (sentence,) = fit.left_out
    assert sentence.startswith("110 jobs shorter than ")
    assert "those of the same user, QOS, size and end that were submitted within an hour" in sentence


def test_the_shortest_are_dropped_if_merging_is_not_enough() -> None:
    """Each is of another user, so that none can be merged."""
    alone = [job(submit_s=60.0 * number, duration_s=20, user=f"u{number}") for number in range(100)]
    fit = fitted(trace(*LONG, *alone), PACE, factor=100)
    assert Counter(one.gpus for one in fit.trace.jobs) == {8: 60, 1: 60}
    assert fit.left_out == (
        "40 of the shortest jobs, each up to 20 s and together 0.03% of the GPU-hours, are dropped: launching them "
        "would take too large a part of the time.",
    )


def test_a_factor_that_needs_too_much_to_be_dropped() -> None:
    alone = [job(submit_s=600.0 * number, duration_s=500, user=f"u{number}") for number in range(100)]
    with pytest.raises(ConfigError) as raised:
        fitted(trace(*alone), PACE, factor=1000)
    assert str(raised.value) == (
        "The jobs of made are too short or too many: a launch takes 100 s of the trace, and may take 2% of the median "
        "job, 500 s; 6 jobs are submitted in the busiest hour, and 36 can be launched. It is not enough to merge short "
        "ones and to drop 1% of the GPU-hours. Set a factor up to 100."
    )
    with pytest.raises(ConfigError, match=r"Replay a trace with longer jobs\.$"):
        fitted(trace(*alone), Pace(launch_s=20, launches_per_s=100), factor=1)


def test_jobs_that_never_start_need_no_launch() -> None:
    fit = fitted(trace(job(duration_s=0, state="cancelled", patience_s=5)), PACE, factor=100)
    assert (len(fit.trace.jobs), fit.overhead) == (1, 0)
