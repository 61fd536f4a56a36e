"""How attempts divide an allocation: by hand, and that parts add up to the whole whatever there is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.report.usage.attempt_time import AttemptTime, divided, gaps, overlap, united
from tests.report.usage.made import attempt


def used(whole: tuple[float, float], *attempts: AttemptTime, window: tuple[float, float] | None = None) -> dict:
    """The seconds by use of each run, without those of 0."""
    runs = divided(whole, attempts, window or whole)
    return {name: {use: s for use, s in own.active.items() if s} for name, own in runs.items()}


def test_one_attempt_that_saved_and_was_preempted() -> None:
    """100 s of a job: 10 until the attempt, 20 to its first step, 50 of training, 5 of it lost, 3 of saving; then its
    processes take 7 to end, and the job another 10."""
    one = attempt(10.0, 90.0, starting=20.0, training=50.0, saving=3.0, lost=5.0, cause="preempted")
    assert used((0.0, 100.0), one) == {
        "a/1": {
            "starting": 10.0 + 20.0 + 7.0,
            "training": 45.0,
            "saving": 3.0,
            "lost_to_preemption": 5.0,
            "holding": 10.0,
        }
    }


def test_what_a_crash_leaves_unexplained_is_lost() -> None:
    """It hung for 27 s after its last sign of life."""
    one = attempt(0.0, 100.0, starting=20.0, training=50.0, saving=3.0, lost=5.0, cause="hung")
    assert used((0.0, 100.0), one)["a/1"] == {
        "starting": 20.0, "training": 45.0, "saving": 3.0, "lost_to_failure": 5.0 + 27.0
    }  # fmt: skip


def test_a_running_attempt_is_still_in_its_step() -> None:
    """Its last sign of life is 40 s old; one that has not told of a step yet is starting."""
    one = attempt(0.0, 100.0, starting=20.0, training=40.0, cause=None, is_running=True)
    assert used((0.0, 100.0), one)["a/1"] == {"starting": 20.0, "training": 80.0}
    new = attempt(0.0, 100.0, starting=20.0, cause=None, is_running=True)
    assert used((0.0, 100.0), new)["a/1"] == {"starting": 100.0}


@pytest.mark.parametrize(("cause", "use"), [
    ("timeout", "lost_to_preemption"), ("interrupted", "lost_to_preemption"), ("cancelled", "lost_to_preemption"),
    ("idle", "lost_to_preemption"), ("crash", "lost_to_failure"), ("oom", "lost_to_failure"),
    ("node_fail", "lost_to_failure"), ("a cause of a later version", "lost_to_failure"),
])  # fmt: skip
def test_causes(cause: str, use: str) -> None:
    one = attempt(0.0, 10.0, training=10.0, lost=10.0, cause=cause)
    assert used((0.0, 10.0), one)["a/1"] == {use: 10.0}


def test_two_attempts_in_one_allocation() -> None:
    """Between them the job holds its GPUs."""
    one = attempt(10.0, 40.0, training=30.0)
    other = attempt(50.0, 100.0, training=50.0, attempt=2)
    assert used((0.0, 100.0), one, other)["a/1"] == {"starting": 10.0, "training": 80.0, "holding": 10.0}


def test_a_wait_before_the_first_attempt_holds_the_gpus() -> None:
    one = attempt(60.0, 100.0, training=40.0, waits=((15.0, 55.0),))
    assert used((0.0, 100.0), one)["a/1"] == {"starting": 20.0, "holding": 40.0, "training": 40.0}


def test_packed_runs_share_by_time() -> None:
    """Two side by side for 60 s, then one alone for 40: 100 and 60 s of attempts, in 100 s of the GPU."""
    one = attempt(0.0, 100.0, training=100.0)
    other = attempt(0.0, 60.0, training=30.0, starting=30.0, run="a/2")
    shares = used((0.0, 110.0), one, other)
    assert shares["a/1"] == {"training": 62.5, "holding": 6.25}
    assert shares["a/2"] == {"training": 18.75, "starting": 18.75, "holding": 3.75}


def test_time_in_a_shell_is_its_users() -> None:
    one = attempt(100.0, 200.0, training=100.0, is_submitted=False)
    assert used((0.0, 1000.0), one)["a/1"] == {"training": 100.0, "unexplained": 900.0}


def test_the_window_cuts_attempts_where_they_were() -> None:
    """Its first 30 s were starting, its last 20 are lost."""
    one = attempt(0.0, 100.0, starting=30.0, training=70.0, lost=20.0, cause="preempted")
    assert used((0.0, 100.0), one, window=(20.0, 90.0))["a/1"] == {
        "starting": 10.0, "training": 50.0, "lost_to_preemption": 10.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("started", "ended", "fitted"),
    [
        (1000.0, 2000.0, (1000.0, 2000.0)),
        (980.0, 1500.0, (1000.0, 1500.0)),  # 20 s of difference between two clocks
        (1500.0, 9000.0, (1500.0, 2000.0)),  # its end was written by the next attempt
        (1700.0, 2500.0, (1200.0, 2000.0)),
        (4600.0, 5100.0, (1500.0, 2000.0)),  # a clock that is an hour ahead
        (100.0, 600.0, (1000.0, 1500.0)),  # and one that is late
    ],
)
def test_clocks_that_differ(started: float, ended: float, fitted: tuple[float, float]) -> None:
    moved = attempt(started, ended).fitted((1000.0, 2000.0))
    assert (moved.started, moved.ended) == fitted


def test_spans() -> None:
    assert united([(5, 7), (1, 3), (2, 4), (7, 8)]) == [(1, 4), (5, 8)]
    assert gaps((0, 10), [(1, 4), (5, 8)]) == [(0, 1), (4, 5), (8, 10)]
    assert gaps((2, 6), [(1, 4), (5, 8)]) == [(4, 5)]
    assert (overlap((0, 5), (3, 9)), overlap((0, 5), (5, 9))) == (2, 0)


seconds = st.floats(0, 5000)


@st.composite
def attempts(draw: st.DrawFn) -> AttemptTime:
    started = draw(st.floats(-500, 2500))
    return attempt(
        started,
        started + draw(st.floats(0, 3000)),
        run=draw(st.sampled_from(["a/1", "a/2", "b/1"])),
        starting=draw(seconds),
        training=draw(seconds),
        saving=draw(seconds),
        lost=draw(seconds),
        cause=draw(st.sampled_from(["completed", "preempted", "crash", None])),
        is_running=draw(st.booleans()),
        is_submitted=draw(st.booleans()),
        sampled=draw(seconds),
        waits=tuple(draw(st.lists(st.tuples(st.floats(0, 500), st.floats(500, 900)), max_size=2))),
    )


@given(st.lists(attempts(), min_size=1, max_size=5), st.floats(0, 1000), st.floats(1, 1500))
def test_the_parts_add_up_to_the_allocation(made: list[AttemptTime], since: float, length: float) -> None:
    whole = (0.0, 2000.0)
    window = (since, min(2000.0, since + length))
    runs = divided(whole, [each.fitted(whole) for each in made], window)
    total = sum(own.seconds for own in runs.values())
    assert math.isclose(total, window[1] - window[0], rel_tol=1e-6, abs_tol=1e-3)
    assert all(value >= -1e-6 for own in runs.values() for value in own.active.values())
    assert runs.keys() == {each.run for each in made}


@given(attempts())
def test_the_pieces_of_an_attempt_add_up(one: AttemptTime) -> None:
    assert math.isclose(sum(length for _, length in one.pieces()), one.seconds, rel_tol=1e-6, abs_tol=1e-6)
