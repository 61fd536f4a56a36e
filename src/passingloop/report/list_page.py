"""The table of ``passingloop list``: a line for each run, a column for each key. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from passingloop.figures import short_span
from passingloop.report.run_table import time_text
from passingloop.report.usage.run_facts import hours_text
from passingloop.text import printable

GAP = "  "
SHORTEST = 8
"""Characters that are left of a long text at least."""

WHOLE = ("run", "name", "signature", "user", "state", "metric", "created", "since")
"""Columns whose texts are never cut."""

TIMES = ("created", "since")


def table(keys: Sequence[str], rows: Sequence[Sequence[Any]], now: datetime, width: int | None = None) -> Iterator[str]:
    """A header and a line for each of `rows`, whose values are those of `keys`.

    Args:
        width: the characters of the terminal's lines. If they are too few, texts of the last column are below their
            lines, and other long texts are cut, but no number, and nothing of `WHOLE`. None cuts nothing.
    """
    cells = [list(keys), *([_cell(key, value, now) for key, value in zip(keys, row, strict=True)] for row in rows)]
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(keys))]
    below = [""] * len(cells)
    if width is not None and _length(_widths(cells)) > width and len(keys) > 1 and not right[-1]:
        below = ["", *(line[-1] for line in cells[1:])]
        cells = [[*line[:-1], line[-1] if number == 0 else ""] for number, line in enumerate(cells)]
    widths = _widths(cells)
    if width is not None:
        _fit(widths, [not to_right and key not in WHOLE for key, to_right in zip(keys, right, strict=True)], width)
    for line, text in zip(cells, below, strict=True):
        yield _line(line, widths, right)
        yield from textwrap.wrap(text, max(width or 0, 40), initial_indent=GAP * 2, subsequent_indent=GAP * 2)


def plain(value: Any) -> Any:
    """A value for CSV: a list as words, a boolean as in conditions, and nothing for what is not known."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "" if value is None else value


def _cell(key: str, value: Any, now: datetime) -> str:
    if isinstance(value, float):
        return short_span(value) if key == "age" else hours_text(value) if key == "gpu_hours" else format(value, ".4g")
    if key in TIMES and isinstance(value, str):
        return time_text(value, now)
    return printable(" ".join(str(plain(value)).split()))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _length(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _fit(widths: list[int], cuttable: Sequence[bool], width: int) -> None:
    """Make the widest of the columns that may be cut narrower until a line fits."""
    chosen = [index for index, is_cuttable in enumerate(cuttable) if is_cuttable]
    while _length(widths) > width:
        widest = max(chosen, key=lambda index: widths[index], default=None)
        if widest is None or widths[widest] <= SHORTEST:
            return
        widths[widest] -= 1


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    fitted = [_cut(cell, width) for cell, width in zip(cells, widths, strict=True)]
    aligned = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(fitted, widths, right, strict=True)
    ]
    return GAP.join(aligned).rstrip()


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"
