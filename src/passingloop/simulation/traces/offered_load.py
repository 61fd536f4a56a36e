"""How much of a cluster the jobs of a trace ask for, and the same trace with more or fewer jobs.

A trace is scaled by the number of its jobs, and not by its arrivals' intervals or by durations: the hours of the day,
the bursts and the mix of sizes stay as they are (Feitelson, Workload Modeling for Computer Systems Performance
Evaluation, Cambridge 2015, on load manipulation: compressed arrivals compress the day too).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from passingloop.errors import ConfigError
from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.trace import HOUR, Trace, bursts_of, seeded

EXACTNESS = 0.005
"""The share of a target by which the chosen jobs may miss it."""

MOST_TIMES = 20
"""How often each job may be there."""


def offered_load(trace: Trace, gpus: int) -> float:
    """The utilisation that `gpus` GPUs would have in the trace's period if no job ever waited.

    Of a job that computes beyond the period's end only the part before it counts.
    """
    return sum(gpu_seconds_inside(job, trace.length_s) for job in trace.jobs) / (gpus * trace.length_s)


def gpu_seconds_inside(job: TraceJob, length_s: float) -> float:
    """The GPU-seconds of a job before the end of the period, if it began when it was submitted."""
    return job.gpus * max(0.0, min(job.duration_s, length_s - job.submit_s))


def scaled_to_load(trace: Trace, load: float, gpus: int, seed: int) -> Trace:
    """The trace with so many of its bursts of jobs, chosen at random, that they offer `load` to `gpus` GPUs.

    For more than the trace has, bursts are there several times, each copy up to half an hour earlier or later.

    Raises:
        ConfigError: no choice of its jobs offers this load.
    """
    before = offered_load(trace, gpus)
    if not before:
        raise ConfigError(f"load={load:g}: no job of {trace.name} holds a GPU, so that no choice of them has a load.")
    rng = seeded(seed, "load")
    bursts = bursts_of(trace.jobs)
    times, rest = divmod(load, before)
    if times > MOST_TIMES:
        raise ConfigError(
            f"load={load:g}: the jobs of {trace.name} offer {before:.2%} of {gpus} GPUs, and more than {MOST_TIMES} "
            "copies of each say nothing any more. Use a longer part of the trace, or fewer GPUs."
        )
    chosen = chosen_for(bursts, partial(_burst_inside, length_s=trace.length_s), rest * gpus * trace.length_s, rng)
    if times:
        copied = [*(burst for burst in bursts for _ in range(int(times) - 1)), *chosen]
        copies = [job for burst in copied for job in _moved(burst, trace.length_s, rng)]
        jobs, what = [*trace.jobs, *copies], f"with {len(copies)} copies of them, in bursts, it is"
    else:
        jobs = [job for burst in chosen for job in burst]
        what = f"the {len(jobs)} that are replayed, bursts chosen at random, offer"
    after = offered_load(trace.with_jobs(jobs), gpus)
    if abs(after - load) > 0.02 * load:
        raise ConfigError(
            f"load={load:g}: of the {len(trace.jobs)} jobs of {trace.name} no choice offers this load, the nearest "
            f"offers {after:.1%}: single jobs are too large. Use a longer part of the trace, or another load."
        )
    return trace.with_jobs(jobs, f"The {len(trace.jobs)} jobs offer {before:.1%} of {gpus} GPUs; {what} {after:.1%}.")


def chosen_for(
    bursts: Iterable[list[TraceJob]], weight: Callable[[list[TraceJob]], float], target: float, rng: random.Random
) -> list[list[TraceJob]]:
    """Bursts in random order until their weights add up to `target`, without those that would exceed it."""
    left = list(bursts)
    rng.shuffle(left)
    chosen, total = [], 0.0
    for burst in left:
        if total >= target * (1 - EXACTNESS):
            break
        if total + weight(burst) <= target * (1 + EXACTNESS):
            chosen.append(burst)
            total += weight(burst)
    return chosen


def _burst_inside(burst: list[TraceJob], length_s: float) -> float:
    return sum(gpu_seconds_inside(job, length_s) for job in burst)


def _moved(burst: list[TraceJob], length_s: float, rng: random.Random) -> list[TraceJob]:
    """The burst earlier or later, so far as it stays within the period."""
    earliest, latest = burst[0].submit_s, burst[-1].submit_s
    by = max(-int(earliest), min(int(length_s - latest) - 1, round(rng.uniform(-HOUR / 2, HOUR / 2))))
    return [replace(job, submit_s=job.submit_s + by) for job in burst]
