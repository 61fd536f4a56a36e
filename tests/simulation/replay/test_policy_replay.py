"""A trace as Slurm can have it: names, and lengths that are worth a launch."""

from __future__ import annotations

import pytest

from passingloop.errors import ConfigError
from passingloop.simulation.replay.policy_replay import check_launch, fitting, with_plain_names
from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.trace import Trace


def job(number: int, user: str = "ada", account: str = "vision", seconds: float = 600.0) -> TraceJob:
    return TraceJob(
        number=number, submit_s=10.0 * number, duration_s=seconds, gpus=1, cpus=1, user=user, account=account
    )


def test_names_that_slurm_cannot_have_are_replaced_each_by_one() -> None:
    jobs = with_plain_names([job(0, "ada"), job(1, "Åsa B."), job(2, "17"), job(3, "Åsa B.", "Big Team")])
    assert [one.user for one in jobs] == ["ada", "user-1", "user-2", "user-1"]
    assert [one.account for one in jobs] == ["vision", "vision", "vision", "account-1"]


def test_jobs_that_are_long_enough_stay_as_they_are() -> None:
    trace = Trace(name="t", length_s=3600.0, jobs=(job(0), job(1)))
    assert fitting(trace) == trace


def test_short_ones_are_merged_and_it_is_said() -> None:
    trace = Trace(name="t", length_s=3600.0, jobs=tuple(job(number, seconds=20.0) for number in range(40)))
    fit = fitting(trace)
    assert len(fit.jobs) < 40
    assert sum(one.duration_s for one in fit.jobs) == 800.0
    assert "merged" in fit.notes[-1]


def test_launches_that_take_too_long_are_refused() -> None:
    """Of a median job of ten minutes a launch may take 2 %, 12 seconds."""
    jobs = [job(0), job(1), job(2, seconds=100_000.0)]
    check_launch(12.0, jobs, 600.0)
    check_launch(24.0, jobs, 600.0, bound=0.04)
    with pytest.raises(ConfigError, match=r"A launch took 12\.5 s of the trace, 2\.1% .* smaller --factor than 600"):
        check_launch(12.5, jobs, 600.0)
