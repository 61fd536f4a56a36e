"""What jobs and runs used in the window of the metrics: the figures of `passingloop report`, by labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from passingloop.exporter.metrics import Use
from passingloop.exporter.occupation import Key, Label, labels_with
from passingloop.report.usage.allocation_use import Allocation
from passingloop.report.usage.figure_sums import totals
from passingloop.usage.usage_report import Request, Sources, read_sources


def read_use(request: Request, more: Collection[Label] = ()) -> tuple[Use, Sources]:
    """The figures by QOS and by `more`, and the sources that they are from."""
    sources = read_sources(request)
    return use_of(sources.allocations(request), request, sources.utilization(), more), sources


def use_of(
    allocations: Collection[Allocation], request: Request, mfu: dict[str, float], more: Collection[Label] = ()
) -> Use:
    """The figures of `allocations`, by QOS and by `more`; pure."""
    labels = labels_with(more)
    groups: dict[Key, list[Allocation]] = defaultdict(list)
    for allocation in allocations:
        groups[tuple(getattr(allocation, label) or "" for label in labels)].append(allocation)
    return Use(
        since=request.since,
        until=request.until,
        labels=labels,
        figures={key: totals(members, request.prices, mfu) for key, members in groups.items()},
        waits={key: [each.wait for each in members if each.wait is not None] for key, members in groups.items()},
        currency=request.prices.note.currency if request.prices else None,
    )
