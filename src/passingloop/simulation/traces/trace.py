"""A trace: the jobs of a period, and in sentences what is not in the source as it is replayed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from passingloop.simulation.trace_jobs import TraceJob

HOUR, DAY = 3600.0, 86400.0

BURST_S = 60.0
"""Seconds between submissions of one burst at most. In the week of Philly's trace there are bursts of up to 657 jobs,
one every 6 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Jobs in the order of their submission, numbered from 0."""

    name: str
    """What it was read or generated from: ``jobs.csv``, ``sacct from 2026-10-01``, ``synthetic:philly``."""
    length_s: float
    """The period in which the jobs were submitted, in seconds from its begin."""
    jobs: tuple[TraceJob, ...]
    notes: tuple[str, ...] = ()
    """What was left out, shifted or made up, each a sentence with its count."""

    def with_jobs(self, jobs: list[TraceJob], *notes: str) -> Trace:
        """The same trace with other jobs, put in order and numbered anew, and with further notes."""
        return replace(self, jobs=in_order(jobs), notes=(*self.notes, *notes))


def in_order(jobs: list[TraceJob]) -> tuple[TraceJob, ...]:
    """Jobs in the order of their submission, numbered from 0. Of those submitted at once the order stays."""
    ordered = sorted(jobs, key=lambda job: job.submit_s)
    return tuple(replace(job, number=number) for number, job in enumerate(ordered))


def bursts_of(jobs: Iterable[TraceJob]) -> list[list[TraceJob]]:
    """Jobs, in the order of their submission, by bursts: of one account, user and size, each submitted within `BURST_S`
    of the one before, as in a sweep."""
    bursts: list[list[TraceJob]] = []
    newest: dict[tuple[str, str, int], list[TraceJob]] = {}
    for job in jobs:
        key = job.account, job.user, job.gpus
        burst = newest.get(key)
        if burst is None or job.submit_s - burst[-1].submit_s > BURST_S:
            burst = newest[key] = []
            bursts.append(burst)
        burst.append(job)
    return bursts


def window(trace: Trace, begin_s: float, length_s: float) -> Trace:
    """The jobs submitted in a part of a trace, as a trace of its own."""
    end_s = min(begin_s + length_s, trace.length_s)
    inside = [job for job in trace.jobs if begin_s <= job.submit_s < end_s]
    moved = [replace(job, submit_s=job.submit_s - begin_s) for job in inside]
    left = len(trace.jobs) - len(inside)
    note = f"{left} jobs were submitted outside the {(end_s - begin_s) / DAY:g} days that are replayed."
    return replace(trace.with_jobs(moved, *([note] if left else [])), length_s=end_s - begin_s)


def seeded(seed: int, choice: str) -> random.Random:
    """Random numbers for one choice: the same for the same seed, whatever other choices are made."""
    return random.Random(f"{seed} {choice}")  # noqa: S311  # nothing is kept secret with them
