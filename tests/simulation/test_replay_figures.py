"""Figures of replays that are small enough to work out by hand, and what holds for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passingloop.report.simulation.policy_figures import SOON, Wait
from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.prices import Prices
from passingloop.simulation.replay_figures import MOST_SPANS, first_wait, job_figures, replay_figures, size_name
from passingloop.simulation.trace_jobs import Outcome
from tests.simulation.made_outcomes import outcome, replay

PRICES = Prices(
    note=PriceNote(currency="EUR", date="2026-11-29", source="made", here="on_premises"),
    gpu="h200",
    per_gpu_hour={"h200": {"on_premises": 2.0}},
)


def test_utilisation_counts_what_was_held_until_the_trace_ended() -> None:
    figures = replay_figures(replay([outcome((1800, 5400), gpus=8), outcome((0, 900), gpus=4, submit=0)]))
    assert figures.utilisation == pytest.approx((0.5 * 8 + 0.25 * 4) / 8)
    assert figures.load == pytest.approx((1.0 * 8 + 0.25 * 4) / 8)
    late = replay_figures(replay([outcome((2700, 6300), gpus=8, submit=2700)]))
    assert late.load == pytest.approx(0.25), "as far as it lies in the trace's period"
    assert figures.totals.gpu_hours == pytest.approx(9)


def test_work_lost_to_preemption() -> None:
    figures = replay_figures(replay([outcome((0, 1000, 100), (2000, 3000, 60), gpus=4), outcome((0, 3000), gpus=4)]))
    assert figures.totals.lost_gpu_hours == pytest.approx(160 * 4 / 3600)
    assert figures.totals.lost_share == pytest.approx(160 / 5000)
    assert figures.totals.preemptions == 1


def test_waits_are_until_the_first_start_and_those_without_one_are_the_longest() -> None:
    outcomes = [outcome((submit + wait, 3600), submit=submit) for submit, wait in [(0, 10), (100, 20), (200, 3000)]]
    waits = job_figures("", [*outcomes, outcome(submit=3500)], 3600).waits
    assert waits is not None
    assert waits.median == Wait(seconds=20)
    assert waits.p95 == waits.p99 == Wait(seconds=100, has_ended=False)
    assert dict(zip(SOON, waits.soon, strict=True)) == {60: 0.5, 600: 0.5, 3600: 0.75}


def test_a_job_that_slurm_refused_waits_as_long_as_others_could_start() -> None:
    """Nothing is left to wait for then, so the replay itself is over at once."""
    refused = replace(replay([outcome(submit=3500, reason="PartitionConfig")]), tail_s=14_400.0)
    waits = replay_figures(refused).totals.waits
    assert waits and waits.p95 == Wait(seconds=14_500.0, has_ended=False)


def test_who_was_cancelled_while_waiting_has_no_wait() -> None:
    """Who would have been patient longer than the replay was still waits."""
    cancelled, patient = outcome(submit=100, patience=50), outcome(submit=100, patience=9000)
    assert first_wait(cancelled, 3600) is None
    assert first_wait(patient, 3600) == Wait(seconds=3500, has_ended=False)
    figures = job_figures("", [cancelled, patient], 3600)
    assert (figures.jobs, figures.cancelled, figures.never_started) == (2, 1, 1)
    assert job_figures("", [cancelled], 3600).waits is None


def test_groups_by_qos_account_and_size() -> None:
    outcomes = [
        outcome((0, 60), qos="interactive"),
        outcome((0, 3600), gpus=8, account="language"),
        outcome((0, 60), qos=""),
        outcome((0, 60), gpus=0),
    ]
    figures = replay_figures(replay(outcomes), {"root": {("DefaultQOS", ""): "scavenger"}})
    assert {one.name: one.jobs for one in figures.groups["qos"]} == {"production": 2, "interactive": 1, "scavenger": 1}
    assert {one.name: one.jobs for one in figures.groups["account"]} == {"language": 1, "vision": 3}
    assert [one.name for one in figures.groups["size"]] == ["no GPU", "1 GPU", "5-8 GPUs"]
    assert figures.group("qos", "interactive") == figures.groups["qos"][1]
    assert figures.group("qos", "idle") is None


@pytest.mark.parametrize(
    ("gpus", "name"),
    [(0, "no GPU"), (1, "1 GPU"), (2, "2 GPUs"), (3, "3-4 GPUs"), (64, "33-64 GPUs"), (512, "over 128 GPUs")],
)
def test_sizes(gpus: int, name: str) -> None:
    assert size_name(gpus) == name


def test_jobs_that_never_started_by_reason() -> None:
    outcomes = [outcome(gpus=16, reason="Resources"), outcome(submit=600), outcome(submit=60, reason="Resources")]
    figures = replay_figures(replay(outcomes))
    first, second = figures.never_started
    assert (first.reason, first.jobs, first.longest_wait) == ("Resources", 2, 3600)
    assert first.gpu_hours == pytest.approx(17 / 6)
    assert (second.reason, second.longest_wait) == ("unknown", 3000)


def test_cost_of_what_was_held_lost_and_idle() -> None:
    figures = replay_figures(replay([outcome((0, 1800, 900), (1800, 3600), gpus=2)]), prices=PRICES)
    assert figures.cost is not None
    amounts = [part["on_premises"].amount for part in (figures.cost.held, figures.cost.lost, figures.cost.idle)]
    assert amounts == pytest.approx([4.0, 1.0, 12.0])


STEPS = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 3000)), max_size=2)
"""Waits and times with GPUs, one after the other."""


def stepped(submit: int, steps: list[tuple[int, int]], gpus: int, account: str) -> Outcome:
    held, now = [], float(submit)
    for wait, runs in steps:
        held.append((now + wait, now + wait + runs, 0.5))
        now += wait + runs
    return outcome(*held, submit=submit, gpus=gpus, account=account)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(stepped, st.integers(0, 5000), STEPS, st.integers(0, 9), st.sampled_from("abc")),
        min_size=1,
        max_size=6,
    ),
    st.integers(100, 10**6),
)
def test_what_holds_for_all_replays(made: list[Outcome], length: int) -> None:
    """Means over time, groups and accounts add up to the whole; waits are in order."""
    figures = replay_figures(replay(made, length=length))
    held, totals = figures.held, figures.totals
    assert len(held.starts) <= MOST_SPANS + 1
    spans = [min(start + held.seconds, length) - start for start in held.starts]
    over_time = sum(value * span for values in held.by_qos.values() for value, span in zip(values, spans, strict=True))
    assert over_time == pytest.approx(figures.utilisation * figures.gpus * length, abs=1e-3)
    for groups in figures.groups.values():
        assert sum(one.jobs for one in groups) == len(made)
        assert sum(one.gpu_hours for one in groups) == pytest.approx(totals.gpu_hours)
        assert sum(one.never_started for one in groups) == totals.never_started
    assert sum(one.jobs for one in figures.never_started) == totals.never_started
    assert totals.waits is not None
    keys = [(not one.has_ended, one.seconds) for one in (totals.waits.median, totals.waits.p95, totals.waits.p99)]
    assert keys == sorted(keys)
    assert list(totals.waits.soon) == sorted(totals.waits.soon)
    assert figures.jain is None or 0 < figures.jain <= 1 + 1e-9
