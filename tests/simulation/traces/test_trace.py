from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from passingloop.simulation.traces.trace import DAY, Trace, bursts_of, window
from tests.simulation.traces.made import facts, few_examples, job, trace, traces


@few_examples
@given(traces)
def test_jobs_are_numbered_in_the_order_of_their_submission(made: Trace) -> None:
    assert [one.number for one in made.jobs] == list(range(len(made.jobs)))
    assert sorted(one.submit_s for one in made.jobs) == [one.submit_s for one in made.jobs]


@few_examples
@given(traces, st.integers(0, int(DAY)))
def test_two_windows_have_all_jobs_once(made: Trace, cut: float) -> None:
    first, second = window(made, 0, cut), window(made, cut, DAY)
    assert len(first.jobs) + len(second.jobs) == len(made.jobs)
    assert all(one.submit_s < first.length_s for one in first.jobs)
    assert all(0 <= one.submit_s < second.length_s for one in second.jobs)


def test_a_window_begins_at_its_begin_and_says_what_is_not_in_it() -> None:
    part = window(trace(job(submit_s=10), job(submit_s=100), job(submit_s=200)), 50, 100)
    assert [one.submit_s for one in part.jobs] == [50]
    assert part.length_s == 100
    assert part.notes == ("2 jobs were submitted outside the 0.00115741 days that are replayed.",)


@few_examples
@given(traces)
def test_bursts_have_all_jobs_and_each_is_of_one_user(made: Trace) -> None:
    bursts = bursts_of(made.jobs)
    assert facts(trace(*(one for burst in bursts for one in burst))) == facts(made)
    assert all(len({(one.user, one.account, one.gpus) for one in burst}) == 1 for burst in bursts)


def test_a_burst_ends_when_a_minute_passes() -> None:
    made = trace(job(submit_s=0), job(submit_s=5, gpus=2), job(submit_s=60), job(submit_s=121))
    assert [[one.submit_s for one in burst] for burst in bursts_of(made.jobs)] == [[0, 60], [5], [121]]
