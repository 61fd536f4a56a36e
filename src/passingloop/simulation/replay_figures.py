"""From a replay to figures. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from passingloop.figures import percentile
from passingloop.policy.fields import DEFAULT_QOS, ROOT, Options
from passingloop.report.simulation.policy_figures import (
    SOON,
    By,
    Cost,
    HeldGpus,
    JobFigures,
    NeverStarted,
    PolicyFigures,
    Wait,
    Waits,
)
from passingloop.report.usage.prices import UNKNOWN_TYPE, Prices
from passingloop.simulation.account_shares import account_shares, jain_index, waiting_times
from passingloop.simulation.trace_jobs import Outcome, Replay
from passingloop.simulation.traces.offered_load import gpu_seconds_inside

HOUR = 3600.0
CURVE = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, *(HOUR * hours for hours in (1, 2, 4, 8, 12, 24, 48, 96)))
SIZES = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""The largest number of GPUs of each size of jobs."""
MOST_SPANS = 168
"""Spans of figures over time: the hours of a week."""
SPANS = (60.0, 300.0, 900.0, 1800.0, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 24 * HOUR)
NO_REASON = "unknown"


def replay_figures(
    replay: Replay, accounts: Mapping[str, Options] | None = None, prices: Prices | None = None
) -> PolicyFigures:
    """What a policy did.

    Args:
        accounts: of the policy, for the shares and the default QOS. Accounts that it lacks have one share.
        prices: for the cost.
    """
    accounts = accounts or {}
    outcomes, length = replay.outcomes, replay.length_s
    end = max([length + replay.tail_s, *(segment.end_s for outcome in outcomes for segment in outcome.segments)])
    default_qos = accounts.get(ROOT, {}).get(DEFAULT_QOS, "normal")

    def qos(outcome: Outcome) -> str:
        return outcome.job.qos or default_qos

    by: dict[By, Callable[[Outcome], str]] = {
        "qos": qos,
        "account": lambda outcome: outcome.job.account,
        "size": lambda outcome: size_name(outcome.job.gpus),
    }
    totals = job_figures("all jobs", outcomes, end)
    capacity = replay.gpus * length / HOUR
    within = (
        sum(outcome.job.gpus * overlap(part, length) for outcome in outcomes for part in held_times(outcome)) / HOUR
    )
    shares = account_shares(outcomes, accounts, replay.gpus, length)
    return PolicyFigures(
        policy=replay.policy,
        gpus=replay.gpus,
        length=length,
        factor=replay.factor,
        overhead=replay.overhead,
        load=sum(gpu_seconds_inside(outcome.job, length) for outcome in outcomes) / HOUR / capacity,
        utilisation=within / capacity,
        totals=totals,
        groups={kind: _groups(outcomes, name, end) for kind, name in by.items()},
        held=held_gpus(outcomes, qos, length),
        shares=shares,
        jain=jain_index(shares),
        never_started=_never_started(outcomes, end),
        cost=_cost(prices, totals, capacity - within) if prices else None,
    )


def job_figures(name: str, outcomes: Collection[Outcome], end: float) -> JobFigures:
    """Of all jobs of a group, in a replay that was over at `end`."""
    waits = [wait for outcome in outcomes if (wait := first_wait(outcome, end))]
    return JobFigures(
        name=name,
        jobs=len(outcomes),
        gpu_hours=sum(one.job.gpus * (part.end_s - part.start_s) for one in outcomes for part in one.segments) / HOUR,
        lost_gpu_hours=sum(one.job.gpus * part.lost_s for one in outcomes for part in one.segments) / HOUR,
        preemptions=sum(part.end == "preempted" for one in outcomes for part in one.segments),
        never_started=sum(not wait.has_ended for wait in waits),
        cancelled=len(outcomes) - len(waits),
        waits=_waits(waits) if waits else None,
    )


def first_wait(outcome: Outcome, end: float) -> Wait | None:
    """How long the job waited until it first ran, or until `end`; None if it was cancelled before either."""
    first_start = outcome.segments[0].start_s if outcome.segments else None
    if first_start is not None:
        return Wait(seconds=max(0.0, first_start - outcome.eligible_s))
    _, given_up = next(waiting_times(outcome))
    if given_up <= end:
        return None
    return Wait(seconds=max(0.0, end - outcome.eligible_s), has_ended=False)


def _waits(waits: Sequence[Wait]) -> Waits:
    """Waits that had not ended count as longer than all that had: a policy gains nothing by starting nothing."""
    ordered = sorted(waits, key=lambda wait: (not wait.has_ended, wait.seconds))

    def at(share: float) -> Wait:
        return ordered[int(percentile(range(len(ordered)), share))]

    def within(limit: float) -> float:
        return sum(wait.has_ended and wait.seconds <= limit for wait in waits) / len(waits)

    return Waits(
        median=at(0.5),
        p95=at(0.95),
        p99=at(0.99),
        soon=tuple(within(limit) for limit in SOON),
        curve=tuple((limit, within(limit)) for limit in CURVE),
    )


def _groups(outcomes: Iterable[Outcome], name: Callable[[Outcome], str], end: float) -> tuple[JobFigures, ...]:
    """Those with the most GPU-hours first; sizes from small to large."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[name(outcome)].append(outcome)
    found = [job_figures(group, members, end) for group, members in groups.items()]
    order = {size_name(size): number for number, size in enumerate((*SIZES, SIZES[-1] + 1))}
    return tuple(sorted(found, key=lambda one: (order.get(one.name, -1), -one.gpu_hours, one.name)))


def size_name(gpus: int) -> str:
    """``1 GPU``, ``5-8 GPUs``: the size of jobs that one of this many GPUs belongs to."""
    if gpus > SIZES[-1]:
        return f"over {SIZES[-1]} GPUs"
    number = next(number for number, size in enumerate(SIZES) if gpus <= size)
    if SIZES[number] == 0:
        return "no GPU"
    least = SIZES[number - 1] + 1
    return f"{gpus} GPU{'s' if gpus > 1 else ''}" if least == SIZES[number] else f"{least}-{SIZES[number]} GPUs"


def held_times(outcome: Outcome) -> list[tuple[float, float]]:
    """When the job held its GPUs."""
    return [(segment.start_s, segment.end_s) for segment in outcome.segments]


def overlap(part: tuple[float, float], end: float, start: float = 0.0) -> float:
    """The seconds of `part` that lie between `start` and `end`."""
    return max(0.0, min(part[1], end) - max(part[0], start))


def held_gpus(outcomes: Iterable[Outcome], qos: Callable[[Outcome], str], length: float) -> HeldGpus:
    """GPUs held and waited for over time, in at most `MOST_SPANS` spans."""
    span = next((size for size in SPANS if length / size <= MOST_SPANS), length / MOST_SPANS)
    count = math.ceil(length / span)
    held: dict[str, list[float]] = defaultdict(lambda: [0.0] * count)
    waiting = [0.0] * count

    def spread(series: list[float], gpus: int, part: tuple[float, float]) -> None:
        first, last = max(0, int(part[0] // span)), min(count - 1, int(min(part[1], length) // span))
        for number in range(first, last + 1):
            start, end = number * span, min((number + 1) * span, length)
            if end > start:
                series[number] += gpus * overlap(part, end, start) / (end - start)

    for outcome in outcomes:
        if not outcome.job.gpus:
            continue
        for part in held_times(outcome):
            spread(held[qos(outcome)], outcome.job.gpus, part)
        for part in waiting_times(outcome):
            spread(waiting, outcome.job.gpus, part)
    ranked = sorted(held.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
    return HeldGpus(
        seconds=span,
        starts=tuple(number * span for number in range(count)),
        by_qos={name: tuple(values) for name, values in ranked},
        waiting=tuple(waiting),
    )


def _never_started(outcomes: Iterable[Outcome], end: float) -> tuple[NeverStarted, ...]:
    reasons: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        wait = first_wait(outcome, end)
        if wait and not wait.has_ended:
            reasons[outcome.reason or NO_REASON].append(outcome)
    found = [
        NeverStarted(
            reason=reason,
            jobs=len(ones),
            gpu_hours=sum(one.job.gpus * one.job.duration_s for one in ones) / HOUR,
            longest_wait=max(end - one.eligible_s for one in ones),
        )
        for reason, ones in reasons.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.jobs, one.reason)))


def _cost(prices: Prices, totals: JobFigures, idle_hours: float) -> Cost:
    return Cost(
        note=prices.note,
        held=prices.money({UNKNOWN_TYPE: totals.gpu_hours}),
        lost=prices.money({UNKNOWN_TYPE: totals.lost_gpu_hours}),
        idle=prices.money({UNKNOWN_TYPE: max(0.0, idle_hours)}),
    )
