"""How long launches take, while a replay goes on."""

from __future__ import annotations

from passingloop.simulation.replay.launches import ENOUGH, Launches


def test_it_is_what_a_job_holds_its_nodes_longer_than_it_computes() -> None:
    launches = Launches()
    for job in range(ENOUGH):
        assert launches.median is None
        launches.allocated(job, 1000.0 + job)
        launches.computed(job, 600.0)
        launches.over(job, 1602.0 + job)
    assert launches.median == 2.0


def test_the_end_may_be_seen_before_the_report_of_it() -> None:
    launches = Launches()
    for job in range(ENOUGH):
        launches.allocated(job, 1000.0)
        launches.over(job, 1602.0)
        launches.computed(job, 600.0)
    assert launches.median == 2.0


def test_pieces_of_a_job_say_nothing() -> None:
    """One that was preempted, or cancelled, did not compute all of its time in this piece."""
    launches = Launches()
    for job in range(2 * ENOUGH):
        launches.allocated(job, 0.0)
        launches.over(job, 50.0)
    assert launches.median is None
