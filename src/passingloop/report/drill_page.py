"""What a drill has found: how each interruption went, and in what the twin differs from the baseline. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from passingloop.rundir.ledger import Ledger, Start

How = Literal["requeue", "kill", "signal"]
Row = Mapping[str, Any]
"""A line of metrics.jsonl."""

Losses = Mapping[tuple[str, int], Row]

MEASURED = ("time", "attempt", "samples_per_second")
"""What may differ between two runs that are the same."""

COUNTED = ("steps", "samples", "tokens")

HEADER = ("interruption", "at step", "steps lost", "seconds to the next new step")
GAP = "  "


@dataclass(frozen=True, kw_only=True, slots=True)
class Interruption:
    """What was done to the twin, and when."""

    how: How
    attempt: int
    """The one that was cut off."""
    time: float
    """Seconds since the epoch."""


def course(interruptions: Sequence[Interruption], rows: Sequence[Row], ledger: Ledger) -> list[dict[str, Any]]:
    """What each interruption cost: a JSON object each; null where the twin has not come so far again.

    Args:
        rows: all of the twin's metrics.
        ledger: the twin's.
    """
    training = [row for row in rows if row["split"] == "train"]
    return [_cost(interruption, training, ledger) for interruption in interruptions]


def _cost(one: Interruption, rows: Sequence[Row], ledger: Ledger) -> dict[str, Any]:
    end = ledger.end(one.attempt)
    logged = [row["step"] for row in rows if row["attempt"] == one.attempt]
    reached = max([*logged, end.end_step if end else 0])
    again = next((start for start in ledger.events_of(Start) if start.attempt > one.attempt), None)
    new = (row for row in rows if row["attempt"] > one.attempt and row["step"] > reached)
    first = next(new, None)
    return {
        "how": one.how,
        "attempt": one.attempt,
        "step": reached,
        "lost_steps": max(0, reached - again.start_step) if again else None,
        "seconds": round(datetime.fromisoformat(first["time"]).timestamp() - one.time, 1) if first else None,
    }


def differences(baseline: Row, twin: Row, expected: Sequence[Row], actual: Sequence[Row]) -> list[str]:
    """Sentences, one for each thing in which the twin differs; none if it is exact.

    Args:
        baseline, twin: what is in their result.json.
        expected, actual: their metrics, of each split and step one row.
    """
    said = [
        f"the counts: {name} is {twin[name]} instead of {baseline[name]}"
        for name in COUNTED
        if twin[name] != baseline[name]
    ]
    if twin["weights_sha256"] != baseline["weights_sha256"]:
        said.append("the weights")
    said += _values("the result", baseline["metrics"], twin["metrics"])
    return said + _by_step(_keyed(expected), _keyed(actual))


def _keyed(rows: Sequence[Row]) -> Losses:
    return {(row["split"], row["step"]): row for row in rows}


def _by_step(expected: Losses, actual: Losses) -> list[str]:
    """The first step in which the two differ: from there on all of them do."""
    if missing := sorted(expected.keys() ^ actual.keys(), key=lambda key: key[1]):
        split, step = missing[0]
        return [f"the metrics: step {step} of {split} is in one of the runs only"]
    for split, step in sorted(expected, key=lambda key: key[1]):
        if said := _values(f"step {step} of {split}", expected[split, step], actual[split, step]):
            return said[:1]
    return []


def _values(place: str, expected: Row, actual: Row) -> list[str]:
    names = [name for name in {**expected, **actual} if name not in MEASURED]
    return [
        f"{place}: {name} is {actual.get(name)} instead of {expected.get(name)}"
        for name in names
        if repr(expected.get(name)) != repr(actual.get(name))  # NaN is the same as NaN here
    ]


def page(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines for people: the interruptions as a table, and the verdict.

    Args:
        report: as ``passingloop drill --json`` prints it.
    """
    cells = [HEADER, *(_cells(row) for row in report["interruptions"])]
    widths = [max(len(line[index]) for line in cells) for index in range(len(HEADER))]
    for line in cells:
        yield GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if report["exact"]:
        yield f"exact: after {report['steps']} steps the weights, the metrics and the loss of every step are the same"
    elif not report["interruptions"]:
        yield "nothing is proved: the twin was done before it could be interrupted. Set more trainer.steps."
    for difference in report["differs"]:
        yield f"not exact: {difference}"


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return one["how"], *("-" if one[name] is None else str(one[name]) for name in ("step", "lost_steps", "seconds"))
