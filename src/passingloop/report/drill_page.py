"""The report on a drill: the cost of each interruption, and the differences of the interrupted run. Pure.

A drill trains the same run twice: the baseline without interruptions, and the twin with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from passingloop.rundir.events import Start
from passingloop.rundir.ledger import Ledger
from passingloop.track.speed import FIGURES

How = Literal["requeue", "kill", "signal"]
Row = Mapping[str, Any]
"""A line of metrics.jsonl."""

RowsByStep = Mapping[tuple[str, int], Row]

VARYING = ("time", "attempt", *FIGURES)
"""Values that may differ between two runs with the same result."""

COMPARED_COUNTS = ("steps", "samples", "tokens")

HEADER = ("interruption", "at step", "steps lost", "seconds to the next new step")
GAP = "  "

MEASURED = {
    "save_s": "to save and stop",
    "restart_s": "to start again",
    "save_every_s": "between saves without a drill",
}
"""What is said of each figure of `passingloop.cli.courses.measures`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interruption:
    """An interruption of the twin."""

    how: How
    attempt: int
    """The attempt that was interrupted."""
    time: float
    """Seconds since the epoch."""


def interruption_costs(
    interruptions: Sequence[Interruption], rows: Sequence[Row], ledger: Ledger
) -> list[dict[str, Any]]:
    """The steps and seconds that each interruption cost, as JSON; null if the twin has not reached that step again.

    Args:
        rows: all metrics of the twin.
        ledger: the ledger of the twin.
    """
    training = [row for row in rows if row["split"] == "train"]
    return [_interruption_cost(interruption, training, ledger) for interruption in interruptions]


def _interruption_cost(interruption: Interruption, rows: Sequence[Row], ledger: Ledger) -> dict[str, Any]:
    end = ledger.end(interruption.attempt)
    logged = [row["step"] for row in rows if row["attempt"] == interruption.attempt]
    reached = max([*logged, end.end_step if end else 0])
    next_start = next((start for start in ledger.events_of(Start) if start.attempt > interruption.attempt), None)
    new_rows = (row for row in rows if row["attempt"] > interruption.attempt and row["step"] > reached)
    first_new_row = next(new_rows, None)
    return {
        "how": interruption.how,
        "attempt": interruption.attempt,
        "step": reached,
        "lost_steps": max(0, reached - next_start.start_step) if next_start else None,
        "seconds": round(datetime.fromisoformat(first_new_row["time"]).timestamp() - interruption.time, 1)
        if first_new_row
        else None,
    }


def differences(baseline: Row, twin: Row, expected: Sequence[Row], actual: Sequence[Row]) -> list[str]:
    """A sentence for each difference of the twin from the baseline; empty if the twin is exact.

    Args:
        baseline, twin: the contents of their result.json.
        expected, actual: their metrics, one row for each split and step.
    """
    sentences = [
        f"the counts: {name} is {twin[name]} instead of {baseline[name]}"
        for name in COMPARED_COUNTS
        if twin[name] != baseline[name]
    ]
    if twin["weights_sha256"] != baseline["weights_sha256"]:
        sentences.append("the weights")
    sentences += _value_differences("the result", baseline["metrics"], twin["metrics"])
    return sentences + _first_step_difference(_rows_by_step(expected), _rows_by_step(actual))


def _rows_by_step(rows: Sequence[Row]) -> RowsByStep:
    return {(row["split"], row["step"]): row for row in rows}


def _first_step_difference(expected: RowsByStep, actual: RowsByStep) -> list[str]:
    """A sentence for the first step that differs, as all later steps then differ as well; empty if none does."""
    if missing := sorted(expected.keys() ^ actual.keys(), key=lambda key: key[1]):
        split, step = missing[0]
        return [f"the metrics: step {step} of {split} is in one of the runs only"]
    for split, step in sorted(expected, key=lambda key: key[1]):
        if sentences := _value_differences(f"step {step} of {split}", expected[split, step], actual[split, step]):
            return sentences[:1]
    return []


def _value_differences(place: str, expected: Row, actual: Row) -> list[str]:
    names = [name for name in {**expected, **actual} if name not in VARYING]
    return [
        f"{place}: {name} is {actual.get(name)} instead of {expected.get(name)}"
        for name in names
        if repr(expected.get(name)) != repr(actual.get(name))  # NaN is the same as NaN here
    ]


def page(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the report: a table of the interruptions, the result, and what was measured.

    Args:
        report: the JSON of ``passingloop drill --json``.
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
    if words := [f"{seconds:g} s {what}" for name, what in MEASURED.items() if (seconds := report["measured"][name])]:
        yield f"measured: {', '.join(words)}"


def _cells(cost: Mapping[str, Any]) -> tuple[str, ...]:
    return cost["how"], *("-" if cost[name] is None else str(cost[name]) for name in ("step", "lost_steps", "seconds"))
