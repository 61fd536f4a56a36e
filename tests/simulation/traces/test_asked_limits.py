from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from passingloop.simulation.traces.asked_limits import ROUND_S, cut_to, with_limits
from passingloop.simulation.traces.trace import DAY, HOUR, Trace
from tests.simulation.traces.made import few_examples, job, trace, traces


@few_examples
@given(traces, st.integers(3600, 400_000).map(float), st.integers(0, 3))
def test_each_job_has_a_limit_that_it_does_not_reach(made: Trace, longest: float, seed: int) -> None:
    for before, after in zip(made.jobs, with_limits(made, longest, seed).jobs, strict=True):
        assert after.limit_s
        if before.limit_s:
            assert after.limit_s == before.limit_s
        else:
            assert after.limit_s > after.duration_s
            assert after.limit_s in (*ROUND_S, longest, round(after.duration_s + 60))


def test_jobs_use_any_share_of_what_they_ask_for() -> None:
    asked = with_limits(trace(*(job(duration_s=HOUR, submit_s=float(n)) for n in range(2000))), 7 * DAY, seed=0)
    used_half = sum(one.duration_s >= (one.limit_s or 0) / 2 for one in asked.jobs)
    assert 0.4 < used_half / 2000 < 0.6


def test_longer_jobs_are_cut_and_the_lost_hours_said() -> None:
    cut = cut_to(trace(job(duration_s=4 * HOUR), job(duration_s=10 * HOUR), job(duration_s=HOUR)), 4 * HOUR)
    assert [one.duration_s / HOUR for one in cut.jobs] == [4, 4, 1]
    assert cut.notes == ("1 jobs are cut to 4 hours, by 40.0% of all GPU-hours.",)
