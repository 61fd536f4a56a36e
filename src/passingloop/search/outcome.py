"""How a search stands, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from passingloop.search.findings import NO_METRIC
from passingloop.search.rungs import Search, ranked
from passingloop.search.sweep_ledger import Entry, SweepLedger


def rung_name(search: Search, rung: int) -> str:
    """Such as ``rung 1 of 3, to 11 % of the steps``."""
    until = "to the end" if rung == search.last else f"to {search.fraction(rung):.0%} of the steps"
    return f"rung {rung + 1} of {search.rungs}, {until}"


def outcome_lines(sweep: SweepLedger) -> Iterator[str]:
    """How many points have come how far, which is the best, and what is left."""
    search, points = sweep.search, sweep.points
    begun = [point for point in points if point.told is not None]
    counts = [sum(point.told is not None and point.told >= rung for point in points) for rung in range(search.rungs)]
    on = "".join(f", {count} went on to rung {rung + 1}" for rung, count in enumerate(counts[1:], start=1) if count)
    yield f"{len(begun)} of {len(points)} points are told to train{on}. Rung {search.rungs} is the end of training."
    if best := ranked(search, points, search.last):
        entry = sweep.entries[best[0].run]
        value = best[0].values[search.last]
        yield f"The best {search.metric} is {value:.4g}, of {best[0].run}: {_values_text(entry)}."
    if mistake := metric_mistake(sweep):
        yield mistake
        return
    failed = [point for point in begun if point.told is not None and point.values.get(point.told, 0.0) is None]
    if failed:
        why = sweep.entries[failed[0].run].reported[failed[0].told or 0].why or ""
        yield f"{_count(failed, 'has', 'have')} no value, {failed[0].run} for one: {why} The same command tries again."
    if under_way := [point for point in begun if point.is_open]:
        yield f"{_count(under_way, 'is', 'are')} not at the next rung yet."


def _values_text(entry: Entry) -> str:
    return ", ".join(f"{key}={value}" for key, value in entry.values.items()) or "the only point"


def metric_mistake(sweep: SweepLedger) -> str | None:
    """Why no points can be compared, if those that have come to a rung did not measure the metric; else None."""
    found = [reported for entry in sweep.entries.values() for reported in entry.reported.values()]
    missing = next((each.why for each in found if each.why and each.why.startswith(NO_METRIC)), None)
    if missing is None or any(each.value is not None for each in found):
        return None
    return (
        f"You set sweep.metric={sweep.search.metric}, by which nothing can be compared. {missing} Set another in the "
        "same command: what has been trained is not trained again."
    )


def _count(points: Sequence[object], one: str, several: str) -> str:
    return f"1 point {one}" if len(points) == 1 else f"{len(points)} points {several}"
