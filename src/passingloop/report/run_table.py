"""The table of runs, one per line; on a terminal they are grouped by name and fitted to its width."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from passingloop.pending.wording import count_text
from passingloop.text import printable
from passingloop.track.metrics_file import main_metric
from passingloop.track.speed import short_speed

Row = Mapping[str, Any]
"""A run in the JSON of ``passingloop status --json``."""

HEADER = ("run", "state", "job", "try", "step", "metric", "samples/s", "since", "where, why")
COLOURS = {"completed": 32, "running": 36, "pending": 33, "failed": 31, "lost": 31, "missing": 31}
"""Numbers of ECMA-48 (SGR)."""

GAP = "  "
MAX_NODES = 3
"""Nodes of a run that are listed."""


def lines(rows: Sequence[Row], now: datetime) -> Iterator[str]:
    """A header and a line for each run, of any length."""
    return _aligned_lines(_table_cells(rows, now, grouped=False))


def page(rows: Sequence[Row], now: datetime, width: int, *, colour: bool) -> Iterator[str]:
    """The table for a terminal of `width` characters. Text that does not fit is below its line; counts are at the
    end."""
    plain = _table_cells(rows, now, grouped=False)
    grouped = any(len(line) > width for line in _aligned_lines([line[:-1] for line in plain]))
    cells = _table_cells(rows, now, grouped=True) if grouped else plain
    header, *table = _aligned_lines(cells)
    yield _fitted_lines(header, HEADER[-1], width)[0]
    previous_name = None
    for row, line, (*_, last) in zip(rows, table, cells[1:], strict=True):
        if grouped and row["name"] != previous_name:
            yield printable(row["name"])
        previous_name = row["name"]
        first, *below = _fitted_lines(line, last, width)
        yield _coloured_line(first, row["state"]) if colour else first
        yield from below
    names_of_several = {name for name, count in Counter(row["name"] for row in rows).items() if count > 1}
    yield from counts([row for row in rows if row["name"] in names_of_several])


def counts(rows: Sequence[Row]) -> Iterator[str]:
    """For each name the number of runs in each state, the most frequent state first."""
    for name in dict.fromkeys(row["name"] for row in rows):
        states = Counter(row["state"] for row in rows if row["name"] == name)
        yield f"{printable(name)}: {', '.join(f'{count} {state}' for state, count in states.most_common())}"


def _table_cells(rows: Sequence[Row], now: datetime, *, grouped: bool) -> list[tuple[str, ...]]:
    runs = [f"{GAP}{row['signature']}" if grouped else f"{row['name']}/{row['signature']}" for row in rows]
    return [HEADER, *(_cells(row, run, now) for row, run in zip(rows, runs, strict=True))]


def _cells(row: Row, run: str, now: datetime) -> tuple[str, ...]:
    cells = (
        run,
        row["state"],
        row["job_id"] or "",
        str(row["attempt"] or ""),
        _step_text(row),
        metric_text(row["metrics"]),
        short_speed(row["throughput"]) if row["state"] in ("running", "completed") else "",
        time_text(row["since"], now),
        _location_and_reason(row, now),
    )
    return tuple(map(printable, cells))


def _aligned_lines(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines with aligned cells, without empty columns."""
    used = [index for index in range(len(cells[0])) if any(line[index] for line in cells[1:])]
    widths = {index: max(len(line[index]) for line in cells) for index in used}
    for line in cells:
        yield GAP.join(line[index].ljust(widths[index]) for index in used).rstrip()


def _fitted_lines(line: str, last: str, width: int) -> list[str]:
    """The line; if it is too long, its last cell is wrapped below it."""
    if len(line) <= width or not last:
        return [line]
    indent = GAP * 2
    below = textwrap.wrap(last, max(width, 40), initial_indent=indent, subsequent_indent=indent)
    return [line.removesuffix(last).rstrip(), *below]


def _coloured_line(line: str, state: str) -> str:
    return line.replace(f"{GAP}{state}", f"{GAP}\x1b[{COLOURS[state]}m{state}\x1b[0m", 1) if state in COLOURS else line


def _step_text(row: Row) -> str:
    if row["step"] is None:
        return ""
    return f"{row['step']}/{row['steps']}" if row["steps"] else str(row["step"])


def metric_text(metrics: Mapping[str, Any]) -> str:
    """The main metric with its name, without that of the split."""
    name = main_metric(metrics)
    if name is None:
        return ""
    value = metrics[name]
    return f"{name.rpartition('/')[2]} {format(value, '.4g') if isinstance(value, int | float) else value}"


def time_text(time: str | None, now: datetime) -> str:
    """Local time: hour and minute of today, or day and month of this year, or the date."""
    if time is None:
        return ""
    local_time = datetime.fromisoformat(time).astimezone(now.tzinfo)
    if local_time.date() == now.date():
        return f"{local_time:%H:%M}"
    return f"{local_time:%d %b}" if local_time.year == now.year else f"{local_time:%Y-%m-%d}"


def _location_and_reason(row: Row, now: datetime) -> str:
    nodes = row["nodes"]
    location = " ".join(nodes[:MAX_NODES]) + (f" and {len(nodes) - MAX_NODES} more" if len(nodes) > MAX_NODES else "")
    if amount := _amount(row):
        location = f"{location}, {amount}" if location else amount
    waits = f"waits since {time_text(row['waits_since'], now)}: {row['waits_for']}" if row["waits_for"] else ""
    starts = f"expected to start {time_text(row['expected_start'], now)}" if row["expected_start"] else ""
    doubt = "" if row["confirmed"] else "not confirmed by Slurm"
    return ": ".join(filter(None, [location, _joined(waits or _reason_text(row), starts, doubt)]))


def _amount(row: Row) -> str:
    if row["shards"]:
        return f"{count_text(row['shards'], 'shard')} of a GPU"
    return count_text(row["gpus"], "GPU") if row["gpus"] else ""


def _joined(*parts: str) -> str:
    """The parts that are not empty in one sentence."""
    *first, last = [part for part in parts if part] or [""]
    return "; ".join([*(part.rstrip(".") for part in first), last])


def _as_clause(sentence: str) -> str:
    """A sentence about the run, as it follows a semicolon."""
    return re.sub("^It ", "it ", sentence).rstrip(".")


def _reason_text(row: Row) -> str:
    """Why the run waits, or how it ended."""
    message, decided = (" ".join((row[key] or "").split()) for key in ("message", "decided"))
    if row["action"] == "stop" and row["state"] in ("failed", "interrupted", "lost"):
        return f"{row['cause']}: {decided}"
    if row["action"] and row["state"] in ("pending", "running"):
        return _joined(message, _as_clause(decided))
    if row["state"] == "interrupted":
        return "" if row["cause"] == "interrupted" else str(row["cause"])
    if row["state"] == "cancelled" and row["attempt"]:
        return ""
    if row["state"] == "failed" and row["cause"]:
        return f"{row['cause']}: {message}" if message else str(row["cause"])
    return message
