"""The place of a job in the queue, and its priority taken apart against the jobs ahead of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from passingloop.pending.answer import PriorityPart, Rank
from passingloop.pending.category import category_of
from passingloop.slurm.waiting.evidence import Cluster, Evidence
from passingloop.slurm.waiting.priority_parts import PriorityParts
from passingloop.slurm.waiting.queue_table import QueuedJob

NOT_IN_LINE = ("held", "dependency", "time")
"""Kinds of reasons of jobs that the scheduler passes over."""


def rank_of(evidence: Evidence) -> tuple[Rank | None, list[QueuedJob]]:
    """The place in the queue, and the jobs ahead, first the one that comes first. None if the job is not in line."""
    job = evidence.job
    if category_of(job.reason) in NOT_IN_LINE:
        return None, []
    line = _line(evidence.cluster, set(job.partitions))
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


def _line(cluster: Cluster, partitions: set[str]) -> list[QueuedJob]:
    """The jobs that wait in one of the partitions and may start, the first one first."""
    waiting = (job for job in cluster.jobs if job.waits and partitions & set(job.partitions))
    return sorted((job for job in waiting if category_of(job.reason) not in NOT_IN_LINE), key=_order)


def _order(job: QueuedJob) -> tuple[int, int]:
    """Slurm starts with the highest priority, and of equal ones with the lowest number."""
    return -job.priority, int(job.number)


def _best(rows: Iterable[PriorityParts]) -> PriorityParts | None:
    """Of a job in several partitions, the row of the one in which its priority is highest."""
    return max(rows, key=lambda row: row.priority, default=None)
