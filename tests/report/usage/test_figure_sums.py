"""Figures from allocations: by hand, and that groups add up to the whole."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.report.usage.allocation_use import USES, Allocation, Use
from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.figure_sums import GROUPINGS, groups, totals
from passingloop.report.usage.prices import Prices
from passingloop.report.usage.usage_figures import GpuHours, Money
from tests.report.usage.made import HOUR, allocation, part

NOTE = PriceNote(currency="EUR", date="2026-11-01", source="a list", here="on_premises")
PRICES = Prices(
    note=NOTE,
    per_gpu_hour={"h200": {"on_premises": 2.0, "on_demand": 8.0}, "l4": {"on_premises": 0.5}},
    pue=1.5,
    grid_grams_per_kwh=400.0,
)


def test_by_hand() -> None:
    """Two hours of 4 H200 for a run, which waited half an hour; then one hour of 2 L4 for a job of which nothing is
    known, which waited ten minutes."""
    uses = {"training": 5400.0, "starting": 900.0, "saving": 180.0, "lost_to_failure": 360.0, "holding": 360.0}
    run = part(sampled=HOUR, busy=0.75, **uses)
    run = type(run)(run=run.run, experiment="a", seconds=run.seconds, sampled=HOUR, busy=0.75, power=500.0)
    month = [
        allocation(0.0, 2 * HOUR, gpus=4.0, gpu_type="h200", cpus=16, eligible=-1800.0, parts=(run,), cause="node_fail",
                   is_requeued=True),
        allocation(0.0, HOUR, job_id="8", gpus=2.0, gpu_type="l4", cpus=4, eligible=-600.0),
    ]  # fmt: skip
    figures = totals(month, PRICES, {"a/1": 0.4})
    hours = figures.gpu_hours
    assert (figures.jobs, figures.runs, figures.allocations) == (2, 1, 2)
    assert (hours.allocated, hours.training, hours.starting, hours.unexplained) == (10.0, 6.0, 1.0, 2.0)
    assert (hours.saving, hours.lost_to_failure, hours.holding) == pytest.approx((0.2, 0.4, 0.4))
    assert (hours.busy, hours.idle, hours.unmeasured) == (3.0, 1.0, 6.0)
    assert hours.wasted == pytest.approx(2.0)
    assert figures.goodput == pytest.approx(6.0 / 8.0)
    assert (figures.explained_share, figures.busy_share, figures.measured_share) == (0.8, 0.75, 0.4)
    assert figures.ettr
    assert (figures.ettr.productive, figures.ettr.queued) == (6.0, 2.0)
    assert figures.ettr.value == pytest.approx(6.0 / (6.0 + 2.0 + 2.0))
    assert figures.cpu_hours == 16 * 2 + 4
    assert (figures.wait_median, figures.wait_p95, figures.queued_hours) == (600.0, 1800.0, pytest.approx(2 / 3))
    assert figures.requeues == {"node_fail": 1}
    assert figures.mfu == pytest.approx(0.4)
    assert figures.money == {
        "on_premises": Money(amount=17.0, gpu_hours=10.0),
        "on_demand": Money(amount=64.0, gpu_hours=8.0),
    }
    assert figures.energy
    assert figures.energy.kwh == pytest.approx(4 * 0.5 * 1.5)  # four GPU-hours at 500 W, and the data centre's part
    assert figures.energy.co2_kg == pytest.approx(4 * 0.5 * 1.5 * 0.4)
    assert figures.energy.gpu_hours == 4.0


def test_what_is_not_known_is_none() -> None:
    figures = totals([allocation()], None, {})
    hours = figures.gpu_hours
    assert (hours.busy, hours.idle, hours.unexplained, hours.unmeasured) == (None, None, 1.0, 1.0)
    assert (figures.goodput, figures.busy_share, figures.ettr, figures.mfu, figures.energy) == (None,) * 5
    assert (figures.wait_median, figures.wait_p95, figures.money) == (None, None, {})
    nothing = totals([], PRICES, {})
    assert (nothing.explained_share, nothing.measured_share, nothing.goodput) == (None, None, None)


def test_waste_is_not_counted_twice() -> None:
    """Idle GPUs of attempts that start are in both."""
    assert GpuHours(allocated=10.0, starting=2.0, busy=5.0, idle=3.0).wasted == 3.0
    assert GpuHours(allocated=10.0, starting=2.0, holding=2.0, busy=5.0, idle=3.0).wasted == 4.0


def test_groups() -> None:
    month = [
        allocation(user="anna", qos="scavenger", account="x", parts=(part("a/1", training=HOUR),)),
        allocation(0.0, 3 * HOUR, user="ben", nodes=("n1", "n2"), gpus=4.0),
        allocation(user="anna", parts=(part("a/2", training=1800.0), part("b/1", training=1800.0))),
    ]
    names = {by: [(group.name, group.figures.gpu_hours.allocated) for group in groups(month, by, None, {})]
             for by in GROUPINGS}  # fmt: skip
    assert names["user"] == [("ben", 12.0), ("anna", 2.0)]
    assert names["run"] == [("a/1", 1.0), ("a/2", 0.5), ("b/1", 0.5)]
    assert names["experiment"] == [("a", 1.5), ("b", 0.5)]
    assert names["qos"] == [("normal", 13.0), ("scavenger", 1.0)]
    assert names["account"] == [("", 13.0), ("x", 1.0)]
    assert names["node"] == [("n1", 8.0), ("n2", 6.0)]


def test_a_wait_counts_once_for_packed_runs_of_one_user() -> None:
    packed = allocation(eligible=-60.0, parts=(part("a/1", training=1800.0), part("a/2", training=1800.0)))
    [user] = groups([packed], "user", None, {})
    assert (user.figures.allocations, user.figures.queued_hours, user.figures.runs) == (1, 60 / 3600, 2)
    assert user.figures.ettr
    assert user.figures.ettr.queued == pytest.approx(60 / 3600)


@st.composite
def allocations(draw: st.DrawFn) -> Allocation:
    started, length = draw(st.floats(0, 1e6)), draw(st.floats(1, 1e5))
    parts = []
    if draw(st.booleans()):
        runs = draw(st.lists(st.sampled_from(["a/1", "a/2", "b/1"]), min_size=1, max_size=3, unique=True))
        for run in runs:
            weights: dict[Use, float] = {use: draw(st.floats(0, 1)) for use in USES}
            total = sum(weights.values()) or 1.0
            seconds = {use: weight / total * length / len(runs) for use, weight in weights.items()}
            held = sum(seconds.values())
            parts.append(
                part(run, sampled=held * draw(st.floats(0, 1)), busy=draw(st.none() | st.floats(0, 1)), **seconds)
            )
    return allocation(
        started,
        started + length if not parts else started + sum(sum(each.seconds.values()) for each in parts),
        job_id=str(draw(st.integers(1, 5))),
        user=draw(st.sampled_from(["anna", "ben"])),
        account=draw(st.sampled_from([None, "x"])),
        qos=draw(st.sampled_from(["normal", "high"])),
        nodes=tuple(draw(st.lists(st.sampled_from(["n1", "n2", "n3"]), min_size=1, unique=True))),
        gpus=draw(st.floats(0, 16)),
        gpu_type=draw(st.sampled_from([None, "h200", "l4"])),
        parts=tuple(parts),
    )


@given(st.lists(allocations(), max_size=6))
def test_parts_add_up_to_the_whole(month: list[Allocation]) -> None:
    everything = totals(month, PRICES, {}).gpu_hours
    held = sum(each.gpu_hours for each in month)
    assert math.isclose(everything.allocated, held, rel_tol=1e-6, abs_tol=1e-9)
    assert math.isclose(sum(getattr(everything, use) for use in USES), held, rel_tol=1e-6, abs_tol=1e-9)
    measured = (everything.busy or 0.0) + (everything.idle or 0.0) + everything.unmeasured
    assert math.isclose(measured, held, rel_tol=1e-6, abs_tol=1e-6)
    explained = sum(each.gpu_hours for each in month if each.parts)
    for by in GROUPINGS:
        grouped = [group.figures for group in groups(month, by, PRICES, {})]
        whole = explained if by in ("run", "experiment") else held
        for figure in ("allocated", *USES):
            total = sum(getattr(each.gpu_hours, figure) for each in grouped)
            if figure == "allocated":
                assert math.isclose(total, whole, rel_tol=1e-6, abs_tol=1e-6), by
            elif by not in ("run", "experiment"):
                assert math.isclose(total, getattr(everything, figure), rel_tol=1e-6, abs_tol=1e-6), (by, figure)
