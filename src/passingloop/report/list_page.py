"""The table of ``passingloop list``: a line for each run, a column for each key. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

GAP = "  "
SHORTEST = 12
"""Characters to which a long cell is cut so that the line fits the terminal."""

TIMES = ("created", "since")


def table(keys: Sequence[str], rows: Sequence[Sequence[Any]], now: datetime, width: int | None = None) -> Iterator[str]:
    """A header and a line for each of `rows`, whose values are those of `keys`.

    Args:
        width: the characters of the terminal's lines. Texts are cut to fit them, but no numbers, and not the first
            column, which names the run. None cuts nothing.
    """
    cells = [list(keys), *([_cell(key, value, now) for key, value in zip(keys, row, strict=True)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(keys))]
    if width is not None:
        widths = _fitted(widths, right, width)
    for line in cells:
        fitted = (_cut(cell, width) for cell, width in zip(line, widths, strict=True))
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(fitted, widths, right, strict=True)
        )
        yield GAP.join(aligned).rstrip()


def plain(value: Any) -> Any:
    """A value for CSV: a list as words, a boolean as in conditions, and nothing for what is not known."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "" if value is None else value


def json_value(value: Any) -> Any:
    """A value for JSON, which has no NaN: as the string that the run's files have for it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _cell(key: str, value: Any, now: datetime) -> str:
    if isinstance(value, float):
        return _duration(value) if key == "age" else f"{value:.1f}" if key == "gpu_hours" else format(value, ".4g")
    if key in TIMES and isinstance(value, str):
        return _time(value, now)
    return " ".join(str(plain(value)).split())


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _time(text: str, now: datetime) -> str:
    """Local time; without the seconds, and of other days without the time."""
    time = datetime.fromisoformat(text).astimezone(now.tzinfo)
    return f"{time:%H:%M}" if time.date() == now.date() else f"{time:%Y-%m-%d}"


def _fitted(widths: list[int], right: Sequence[bool], width: int) -> list[int]:
    """The widths of columns, with the widest of those that may be cut made narrower until a line fits."""
    fitted = list(widths)
    cuttable = [index for index in range(1, len(fitted)) if not right[index]]
    while sum(fitted) + len(GAP) * (len(fitted) - 1) > width:
        widest = max(cuttable, key=lambda index: fitted[index], default=None)
        if widest is None or fitted[widest] <= SHORTEST:
            break
        fitted[widest] -= 1
    return fitted


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"
