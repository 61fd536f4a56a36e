"""The table of runs: a line each, aligned, and on a terminal grouped by name and fitted to its width."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]
"""As ``passingloop status --json`` prints it."""

HEADER = ("run", "state", "job", "try", "step", "metric", "since", "where, why")
COLOURS = {"completed": 32, "running": 36, "pending": 33, "failed": 31, "lost": 31, "missing": 31}
"""ECMA-48 (SGR) numbers."""

GAP = "  "
NODES = 3
"""How many are named."""


def lines(rows: Sequence[Row], now: datetime) -> Iterator[str]:
    """One line per run after a header, however long."""
    return _aligned(_table(rows, now, grouped=False))


def page(rows: Sequence[Row], now: datetime, width: int, *, colour: bool) -> Iterator[str]:
    """For a terminal of `width` characters: what does not fit stands below, and counts at the end."""
    plain = _table(rows, now, grouped=False)
    grouped = any(len(line) > width for line in _aligned([line[:-1] for line in plain]))
    cells = _table(rows, now, grouped=True) if grouped else plain
    header, *table = _aligned(cells)
    yield _fitted(header, HEADER[-1], width)[0]
    before = None
    for row, line, (*_, last) in zip(rows, table, cells[1:], strict=True):
        if grouped and row["name"] != before:
            yield str(row["name"])
        before = row["name"]
        first, *below = _fitted(line, last, width)
        yield _coloured(first, row["state"]) if colour else first
        yield from below
    many = {name for name, count in Counter(row["name"] for row in rows).items() if count > 1}
    yield from counts([row for row in rows if row["name"] in many])


def counts(rows: Sequence[Row]) -> Iterator[str]:
    """How many runs of each name are in which state; most first."""
    for name in dict.fromkeys(row["name"] for row in rows):
        states = Counter(row["state"] for row in rows if row["name"] == name)
        yield f"{name}: {', '.join(f'{count} {state}' for state, count in states.most_common())}"


def _table(rows: Sequence[Row], now: datetime, *, grouped: bool) -> list[tuple[str, ...]]:
    runs = [f"{GAP}{row['signature']}" if grouped else f"{row['name']}/{row['signature']}" for row in rows]
    return [HEADER, *(_cells(row, run, now) for row, run in zip(rows, runs, strict=True))]


def _cells(row: Row, run: str, now: datetime) -> tuple[str, ...]:
    return (
        run,
        row["state"],
        row["job_id"] or "",
        str(row["attempt"] or ""),
        _step(row),
        _metric(row["metrics"]),
        _when(row["since"], now),
        _where_and_why(row, now),
    )


def _aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Without the columns in which nobody has anything; the last is as long as it is."""
    used = [index for index in range(len(cells[0])) if any(line[index] for line in cells[1:])]
    widths = {index: max(len(line[index]) for line in cells) for index in used}
    for line in cells:
        yield GAP.join(line[index].ljust(widths[index]) for index in used).rstrip()


def _fitted(line: str, last: str, width: int) -> list[str]:
    """The line, with its last cell below if there is no room for it."""
    if len(line) <= width or not last:
        return [line]
    indent = GAP * 2
    below = textwrap.wrap(last, max(width, 40), initial_indent=indent, subsequent_indent=indent)
    return [line.removesuffix(last).rstrip(), *below]


def _coloured(line: str, state: str) -> str:
    return line.replace(f"{GAP}{state}", f"{GAP}\x1b[{COLOURS[state]}m{state}\x1b[0m", 1) if state in COLOURS else line


def _step(row: Row) -> str:
    if row["step"] is None:
        return ""
    return f"{row['step']}/{row['steps']}" if row["steps"] else str(row["step"])


def _metric(metrics: Mapping[str, Any]) -> str:
    """The first that is no loss, else the loss: of the test if there was one."""
    tested = [name for name in metrics if name.startswith("test/")] or list(metrics)
    name = next((name for name in tested if not name.endswith("/loss")), next(iter(tested), None))
    if name is None:
        return ""
    value = metrics[name]
    return f"{name.rpartition('/')[2]} {value if isinstance(value, str) else format(value, '.4g')}"


def _when(time: str | None, now: datetime) -> str:
    """Local time as short as it can be: the hour of today, else the day."""
    if time is None:
        return ""
    then = datetime.fromisoformat(time).astimezone(now.tzinfo)
    if then.date() == now.date():
        return f"{then:%H:%M}"
    return f"{then:%d %b}" if then.year == now.year else f"{then:%Y-%m-%d}"


def _where_and_why(row: Row, now: datetime) -> str:
    nodes = row["nodes"]
    where = " ".join(nodes[:NODES]) + (f" and {len(nodes) - NODES} more" if len(nodes) > NODES else "")
    starts = f"expected to start {_when(row['expected_start'], now)}" if row["expected_start"] else ""
    doubt = "" if row["confirmed"] else "not confirmed by Slurm"
    return ": ".join(filter(None, [where, "; ".join(filter(None, [_why(row), starts, doubt]))]))


def _why(row: Row) -> str:
    """Why it waits, or how it ended."""
    message, decided = (" ".join((row[key] or "").split()) for key in ("message", "decided"))
    if row["action"] == "stop" and row["state"] in ("failed", "interrupted", "lost"):
        return f"{row['cause']}: {decided}"
    if row["action"] and row["state"] in ("pending", "running"):
        return " ".join(filter(None, [message, decided]))
    if row["state"] == "interrupted":
        return "" if row["cause"] == "interrupted" else str(row["cause"])
    if row["state"] == "cancelled" and row["attempt"]:
        return ""
    if row["state"] == "failed" and row["cause"]:
        return f"{row['cause']}: {message}" if message else str(row["cause"])
    return message
