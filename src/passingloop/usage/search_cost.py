"""The time that a sweep has used, and an estimate of what its points would use if all of them trained to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from passingloop.report.search.search_content import Cost, SearchPoint
from passingloop.rundir.events import End
from passingloop.usage.run_records import RunRecord

HOUR = 3600.0


def search_cost(points: Sequence[SearchPoint], records: Mapping[str, RunRecord], full_steps: float | None) -> Cost:
    """What all points have used, and what they would use if each trained to the end.

    For that a point takes a start, the time of its own steps (or the median of all), and, as a part of the steps has
    other evaluations than the whole, the evaluations of those that have come farthest; with as many GPUs as were used
    on the average.

    Args:
        full_steps: of a whole training; None if that is not known.
    """
    hours, gpu_hours = sum(point.hours for point in points), sum(point.gpu_hours for point in points)
    spent = {record.name: time for record in records.values() if (time := _Spent.of(record))}
    if not spent or full_steps is None:
        return Cost(hours=hours, gpu_hours=gpu_hours, full_hours=None, full_gpu_hours=None)
    farthest = max(each.steps for each in spent.values())
    evaluating = median(each.evaluating for each in spent.values() if each.steps == farthest) / farthest
    start = median(each.start for each in spent.values())
    usual = median(each.rate for each in spent.values())
    rates = (spent[point.run].rate if point.run in spent else usual for point in points)
    full = sum(start + (rate + evaluating) * full_steps for rate in rates) / HOUR
    return Cost(
        hours=hours, gpu_hours=gpu_hours, full_hours=full, full_gpu_hours=full * gpu_hours / hours if hours else None
    )


@dataclass(frozen=True, slots=True)
class _Spent:
    """Where the time of a run went, in seconds."""

    steps: int
    start: float
    """Of one attempt, outside training and saves."""
    training: float
    """And saving, without evaluations."""
    evaluating: float

    @classmethod
    def of(cls, record: RunRecord) -> _Spent | None:
        """None if it has trained no step that is recorded."""
        ended = [attempt for attempt in record.attempts if not attempt.is_running and attempt.training]
        steps = last_step(record)
        if not ended or not steps:
            return None
        training = sum(attempt.training + attempt.saving for attempt in ended)
        evaluating = sum(attempt.evaluating or 0.0 for attempt in ended)
        start = median(max(0.0, attempt.seconds - attempt.training - attempt.saving) for attempt in ended)
        return cls(steps, start, training - evaluating, evaluating)

    @property
    def rate(self) -> float:
        """Seconds of a step."""
        return self.training / self.steps


def last_step(record: RunRecord | None) -> int | None:
    """The step at which its newest attempt that has ended did so."""
    ends = record.ledger.events_of(End) if record else ()
    return ends[-1].end_step if ends else None
