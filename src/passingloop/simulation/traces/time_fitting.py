"""How much faster than in the trace time may go by, and what becomes of jobs that are too short for it.

To launch a job takes its time however fast the clocks are. At a factor of 100 a launch of 0.1 s is 10 s of the trace:
of a job of ten minutes 1.7 %, of one of a minute a sixth. So the factor is bounded by the launch's share of the median
job, and by how many jobs can be launched in the busiest hour. For a larger factor short jobs are merged, and if that is
not enough the shortest are dropped. What was merged and dropped is said in sentences.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from passingloop.errors import ConfigError
from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.population import INTERACTIVE
from passingloop.simulation.traces.trace import HOUR, Trace

BOUND = 0.02
"""The largest share of the median job that its launch may take."""

STEPS = 24
"""Lengths that are tried for the shortest job that is not merged."""

DROPPED_MOST = 0.01
"""The largest share of the GPU-hours that may be dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What a replay can do."""

    launch_s: float
    """Seconds of real time from a job's start to its end beyond what it computes."""
    launches_per_s: float
    """Jobs that can be submitted, started and ended in a second of real time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A trace as it can be replayed."""

    trace: Trace
    """Without what was merged or dropped."""
    factor: float
    overhead: float
    """The launch as a share of the median job."""
    left_out: tuple[str, ...]
    """What was merged or dropped, in sentences."""


def fitted(trace: Trace, pace: Pace, factor: float | None = None, keep: Collection[str] = (INTERACTIVE,)) -> Fit:
    """The trace at a factor.

    Args:
        factor: None for the largest at which nothing is merged or dropped.
        keep: QOS of which every job stays as it is, because how soon each begins is what one wants to know.

    Raises:
        ConfigError: the factor is too large even if short jobs are merged and dropped.
    """
    if factor is None:
        return _fit(trace, pace, _largest_factor(trace, pace))
    for shortest in _lengths(factor, pace):
        merged, sentences = _merged(trace, shortest, keep)
        if factor <= _largest_factor(merged, pace):
            return _fit(merged, pace, factor, *sentences)
    dropped = _shortest(merged, pace, factor, keep)
    rest, lost = _rest(merged, dropped), sum(map(_gpu_seconds, dropped)) / max(1.0, sum(map(_gpu_seconds, trace.jobs)))
    if lost > DROPPED_MOST or factor > _largest_factor(rest, pace):
        raise ConfigError(_refusal(trace, pace, factor))
    sentences.append(
        f"{len(dropped)} of the shortest jobs, each up to {dropped[-1].duration_s:.0f} s and together {lost:.2%} of "
        "the GPU-hours, are dropped: launching them would take too large a part of the time."
    )
    return _fit(rest, pace, factor, *sentences)


def _refusal(trace: Trace, pace: Pace, factor: float) -> str:
    launch, busiest = factor * pace.launch_s, max(_hours(trace).values())
    largest = _largest_factor(trace, pace)
    return (
        f"The jobs of {trace.name} are too short or too many: a launch takes {launch:.3g} s of the trace, and may take "
        f"{BOUND:.0%} of the median job, {_median(trace.jobs):.0f} s; {busiest} jobs are submitted in the busiest "
        f"hour, and {pace.launches_per_s * HOUR / factor:.3g} can be launched. It is not enough to merge short ones "
        f"and to drop {DROPPED_MOST:.0%} of the GPU-hours. "
        + (f"Set a factor up to {largest:.3g}." if largest >= 1 else "Replay a trace with longer jobs.")
    )


def _fit(trace: Trace, pace: Pace, factor: float, *left_out: str) -> Fit:
    overhead = pace.launch_s * factor / _median(trace.jobs)
    return Fit(trace=trace, factor=factor, overhead=overhead, left_out=left_out)


def _largest_factor(trace: Trace, pace: Pace) -> float:
    busiest = max(_hours(trace).values(), default=1)
    return min(BOUND * _median(trace.jobs) / pace.launch_s, pace.launches_per_s * HOUR / busiest)


def _lengths(factor: float, pace: Pace) -> Iterable[float]:
    """Lengths up to that of which the launch is `BOUND`; the first is 0, so that nothing is merged."""
    longest = factor * pace.launch_s / BOUND
    return [0.0, *(longest * 2 ** ((step - STEPS) / 4) for step in range(1, STEPS + 1))]


def _median(jobs: Iterable[TraceJob]) -> float:
    """The duration of the median job that starts at all; infinite if none does."""
    return statistics.median([job.duration_s for job in jobs if job.duration_s > 0] or [math.inf])


def _hours(trace: Trace) -> Counter[int]:
    """How many jobs were submitted in each hour of the trace."""
    return Counter(int(job.submit_s // HOUR) for job in trace.jobs)


def _merged(trace: Trace, shortest_s: float, keep: Collection[str]) -> tuple[Trace, list[str]]:
    """The trace with jobs shorter than `shortest_s` in chains, each one job that is about so long."""
    short: dict[tuple[object, ...], list[TraceJob]] = defaultdict(list)
    jobs = []
    for job in trace.jobs:
        if 0 < job.duration_s < shortest_s and job.qos not in keep:
            short[job.user, job.account, job.qos, job.gpus, job.cpus, job.state].append(job)
        else:
            jobs.append(job)
    count = 0
    for alike in short.values():
        for chain in _chains(alike, shortest_s):
            jobs.append(_one_job(chain))
            count += len(chain) if len(chain) > 1 else 0
    saved = len(trace.jobs) - len(jobs)
    sentence = (
        f"{count} jobs shorter than {shortest_s:.0f} s are merged into {count - saved}: those of the same user, QOS, "
        f"size and end that were submitted within an hour, one after another, until together they are "
        f"{shortest_s:.0f} s."
    )
    return trace.with_jobs(jobs), [sentence] if count else []


def _chains(jobs: list[TraceJob], length_s: float) -> Iterable[list[TraceJob]]:
    """Jobs in the order of their submission, in chains that end when they are long enough or an hour is over."""
    chain: list[TraceJob] = []
    for job in jobs:
        full = sum(one.duration_s for one in chain) >= length_s
        if chain and (full or job.submit_s - chain[0].submit_s > HOUR):
            yield chain
            chain = []
        chain.append(job)
    if chain:
        yield chain


def _one_job(chain: list[TraceJob]) -> TraceJob:
    limits = [job.limit_s for job in chain]
    return replace(
        chain[0],
        duration_s=sum(job.duration_s for job in chain),
        limit_s=None if None in limits else sum(limit or 0.0 for limit in limits),
    )


def _shortest(trace: Trace, pace: Pace, factor: float, keep: Collection[str]) -> list[TraceJob]:
    """Jobs to be dropped, the longest last: the shortest of each hour that has more than can be launched, and of the
    others the shortest until the median is long enough."""
    most = int(pace.launches_per_s * HOUR / factor)
    short = sorted(
        (job for job in trace.jobs if job.duration_s > 0 and job.qos not in keep), key=lambda job: job.duration_s
    )
    over = {hour: count - most for hour, count in _hours(trace).items() if count > most}
    dropped: list[TraceJob] = []
    left: list[TraceJob] = []
    for job in short:
        hour = int(job.submit_s // HOUR)
        (dropped if over.get(hour, 0) > 0 else left).append(job)
        over[hour] = over.get(hour, 0) - 1
    needed = factor * pace.launch_s / BOUND
    low, high = 0, len(left)
    while low < high:
        middle = (low + high) // 2
        enough = _median(_rest(trace, dropped + left[:middle]).jobs) >= needed
        low, high = (low, middle) if enough else (middle + 1, high)
    return sorted(dropped + left[:low], key=lambda job: job.duration_s)


def _rest(trace: Trace, dropped: list[TraceJob]) -> Trace:
    numbers = {job.number for job in dropped}
    return replace(trace, jobs=tuple(job for job in trace.jobs if job.number not in numbers))


def _gpu_seconds(job: TraceJob) -> float:
    return job.gpus * job.duration_s
