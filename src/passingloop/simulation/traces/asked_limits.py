"""Time limits that users ask for, for traces that have none.

They ask for few round values, and most of them for much more than they use. Of the time asked for, jobs use any share
about as often as any other (Mu'alem and Feitelson, IEEE TPDS 12(6), 2001), and 20 values make up nine tenths of what
is asked for (Tsafrir, Etsion and Feitelson, Modeling User Runtime Estimates, JSSPP 2005).
"""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import replace

from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.trace import DAY, HOUR, Trace, seeded

ROUND_S = (
    *(minutes * 60.0 for minutes in (5, 10, 15, 20, 30)),
    *(hours * HOUR for hours in (1, 2, 3, 4, 5, 6, 8, 10, 12, 18)),
    *(days * DAY for days in (1, 2, 3, 5, 7)),
)


def with_limits(trace: Trace, longest_s: float, seed: int) -> Trace:
    """The trace with a time limit for each job that has none: its duration as a random share of it, made round.

    Nobody asks for more than `longest_s`, except for a job that takes longer.
    """
    rng = seeded(seed, "limits")
    jobs = [job if job.limit_s else replace(job, limit_s=_limit(job, longest_s, rng)) for job in trace.jobs]
    given = sum(job.limit_s is None for job in trace.jobs)
    return trace.with_jobs(jobs, f"{given} jobs without a time limit ask for a round one, of which they use any share.")


def _limit(job: TraceJob, longest_s: float, rng: random.Random) -> float:
    wanted = job.duration_s / (1 - rng.random())
    rounded = ROUND_S[min(bisect_left(ROUND_S, wanted), len(ROUND_S) - 1)]
    return max(min(rounded, longest_s), float(round(job.duration_s + 60)))


def cut_to(trace: Trace, longest_s: float) -> Trace:
    """The trace with jobs of `longest_s` instead of longer ones, for a policy that allows no longer ones."""
    long = [job for job in trace.jobs if job.duration_s > longest_s]
    lost = sum(job.gpus * (job.duration_s - longest_s) for job in long)
    whole = sum(job.gpus * job.duration_s for job in trace.jobs)
    jobs = [replace(job, duration_s=min(job.duration_s, longest_s)) for job in trace.jobs]
    note = f"{len(long)} jobs are cut to {longest_s / HOUR:g} hours, by {lost / max(whole, 1):.1%} of all GPU-hours."
    return trace.with_jobs(jobs, *([note] if long else []))
