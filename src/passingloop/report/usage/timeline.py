"""GPUs in use over time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from passingloop.figures import percentile
from passingloop.report.usage.allocation_use import Allocation
from passingloop.report.usage.attempt_time import overlap
from passingloop.report.usage.content import Timeline

WIDTHS = (60, 300, 900, 3600, 4 * 3600, 86400, 7 * 86400)
"""Seconds of a bucket, of which the shortest is chosen that leads to `MAX_BUCKETS` at most."""

MAX_BUCKETS = 200


def timeline(allocations: Iterable[Allocation], since: float, until: float) -> Timeline:
    """The series between two times; see `Timeline`. Buckets begin at multiples of their length in UTC."""
    width = next((width for width in WIDTHS if (until - since) / width <= MAX_BUCKETS), WIDTHS[-1])
    first = math.floor(since / width)
    count = max(1, math.ceil(until / width) - first)
    starts = tuple(float((first + number) * width) for number in range(count))
    lengths = [overlap((start, start + width), (since, until)) or width for start in starts]
    gpus: dict[str, list[float]] = {}
    busy, sampled, waiting = [0.0] * count, [0.0] * count, [0.0] * count
    waits: list[list[float]] = [[] for _ in starts]

    def spread(series: list[float], start: float, end: float, amount: float) -> None:
        """Add `amount` for the time from `start` to `end`."""
        last = min(count - 1, math.floor(end / width) - first)
        for number in range(max(0, math.floor(start / width) - first), last + 1):
            series[number] += amount * overlap((starts[number], starts[number] + width), (start, end))

    for allocation in allocations:
        if allocation.gpus:
            series = gpus.setdefault(allocation.qos or "", [0.0] * count)
            spread(series, allocation.started, allocation.ended, allocation.gpus)
            if allocation.seconds:
                share = sum(part.sampled for part in allocation.parts if part.busy is not None) / allocation.seconds
                used = sum(part.sampled * (part.busy or 0.0) for part in allocation.parts) / allocation.seconds
                spread(sampled, allocation.started, allocation.ended, allocation.gpus * share)
                spread(busy, allocation.started, allocation.ended, allocation.gpus * used)
        if (wait := allocation.wait) is not None:
            waits[min(count - 1, max(0, math.floor(allocation.started / width) - first))].append(wait)
            spread(waiting, max(since, allocation.started - wait), allocation.started, 1.0)
    return Timeline(
        seconds=float(width),
        starts=starts,
        gpus={
            qos: tuple(value / length for value, length in zip(series, lengths, strict=True))
            for qos, series in sorted(gpus.items())
        },
        busy=tuple(b / length if s else None for b, s, length in zip(busy, sampled, lengths, strict=True)),
        waits=tuple(percentile(each, 0.5) if each else None for each in waits),
        waiting=tuple(value / length for value, length in zip(waiting, lengths, strict=True)),
    )
