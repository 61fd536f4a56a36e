"""The place of a job in the queue, and its priority taken apart against the jobs ahead of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence

from passingloop.pending.answer import PriorityPart, Rank
from passingloop.pending.category import category_of
from passingloop.slurm.waiting.evidence import Evidence
from passingloop.slurm.waiting.priority_parts import PriorityParts
from passingloop.slurm.waiting.queue_table import QueuedJob

NOT_IN_LINE = ("held", "dependency", "time")
"""Kinds of reasons of jobs that the scheduler passes over."""


def rank_of(evidence: Evidence) -> tuple[Rank | None, list[QueuedJob]]:
    """The place in the queue, and the jobs ahead, first the one that comes first. None if the job is not in line."""
    job = evidence.job
    if category_of(job.reason) in NOT_IN_LINE:
        return None, []
    line = _line(evidence.cluster.jobs, set(job.partitions))
    ahead = [other for other in line if other.number != job.number and _order(other) < _order(job)]
    limited = [other for other in ahead if category_of(other.reason) in ("limit", "request", "permission", "array")]
    return Rank(
        place=sum(other.tasks for other in ahead) + 1,
        of=sum(other.tasks for other in line),
        gpus_ahead=sum(other.gpus * other.tasks for other in ahead),
        limited_ahead=sum(other.tasks for other in limited),
        own_ahead=sum(other.tasks for other in ahead if other.user == job.user),
    ), ahead


def priority_parts(evidence: Evidence, ahead: Sequence[QueuedJob]) -> tuple[PriorityPart, ...]:
    """The parts that the job or a job ahead of it has; empty if the parts are not shown."""
    shown = evidence.cluster.priorities or ()
    own = _best(row for row in shown if row.number == evidence.job.number)
    if own is None:
        return ()
    by_number: dict[str, list[PriorityParts]] = {}
    for row in shown:
        by_number.setdefault(row.number, []).append(row)
    others = [best for job in ahead if (best := _best(by_number.get(job.number, ())))]
    rows = [
        PriorityPart(
            name=name,
            own=value,
            first=others[0].parts[name] if others else None,
            median=sorted(row.parts[name] for row in others)[len(others) // 2] if others else None,
        )
        for name, value in own.parts.items()
    ]
    return tuple(row for row in rows if row.own or row.first or row.median)


def places(jobs: Sequence[QueuedJob], asked: Iterable[QueuedJob]) -> dict[str, tuple[int, int]]:
    """For each of the jobs in `asked` that is in line, by its number, its place and how long the line is.

    A job that stands for several tasks of an array has the place of the first of them.
    """
    by_partitions: dict[frozenset[str], list[QueuedJob]] = {}
    for job in asked:
        by_partitions.setdefault(frozenset(job.partitions), []).append(job)
    found: dict[str, tuple[int, int]] = {}
    for partitions, own in by_partitions.items():
        line = _line(jobs, partitions)
        before = dict(
            zip(
                (job.number for job in line), itertools.accumulate((job.tasks for job in line), initial=0), strict=False
            )
        )
        whole = sum(job.tasks for job in line)
        found |= {job.number: (before[job.number] + 1, whole) for job in own if job.number in before}
    return found


def _line(jobs: Iterable[QueuedJob], partitions: Collection[str]) -> list[QueuedJob]:
    """The jobs that wait in one of the partitions and may start, the first one first."""
    waiting = (job for job in jobs if job.waits and not set(partitions).isdisjoint(job.partitions))
    return sorted((job for job in waiting if category_of(job.reason) not in NOT_IN_LINE), key=_order)


def _order(job: QueuedJob) -> tuple[int, int]:
    """Slurm starts with the highest priority, and of equal ones with the lowest number."""
    return -job.priority, int(job.number)


def _best(rows: Iterable[PriorityParts]) -> PriorityParts | None:
    """Of a job in several partitions, the row of the one in which its priority is highest."""
    return max(rows, key=lambda row: row.priority, default=None)
