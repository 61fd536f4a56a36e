"""How a search stands, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    yield f"{len(begun)} of {len(points)} points have begun{on}. Rung {search.rungs} is the end of training."
    if best := ranked(search, points, search.last):
        entry = sweep.entries[best[0].run]
        value = best[0].values[search.last]
        yield f"The best {search.metric} is {value:.4g}, of {best[0].run}: {_values_text(entry)}."
    failed = [point for point in begun if point.told is not None and point.values.get(point.told, 0.0) is None]
    if failed:
        why = sweep.entries[failed[0].run].reported[failed[0].told or 0].why or ""
        yield f"{_count(failed)} no value, {failed[0].run} for one: {why} The same command tries them again."
    if under_way := [point for point in begun if point.is_open]:
        yield f"{len(under_way)} of them are not at their next rung yet."


def _values_text(entry: Entry) -> str:
    return ", ".join(f"{key}={value}" for key, value in entry.values.items()) or "the only point"


def _count(points: Sequence[object]) -> str:
    return "1 point has" if len(points) == 1 else f"{len(points)} points have"
