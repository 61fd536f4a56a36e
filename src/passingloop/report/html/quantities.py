"""Figures as people read them: with a unit, to three digits or so, and "–" for what is not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from passingloop import figures

SPACE = "\u00a0"
"""Stands between a number and its unit, so that no line ends there."""

ABSENT = "–"
"""What stands where a figure is not known."""

_DAY = 86_400.0
_GB = 1e9


def number(value: float | None, unit: str = "") -> str:
    """`value` to three digits if it is small, to a whole number with separators if it is large."""
    if value is None or not math.isfinite(value):
        return ABSENT
    size = abs(value)
    if size >= 100 or value == int(value):
        words = f"{value:,.0f}"
    elif size >= 10:
        words = f"{value:.1f}"
    elif size >= 0.01:
        words = f"{value:.2f}"
    else:
        words = f"{value:.2g}"
    return f"{words}{SPACE}{unit}" if unit else words


def share(value: float | None) -> str:
    """`value`, of 1, in per cent; small ones with one decimal, so that little is not nothing."""
    if value is None:
        return ABSENT
    percent = 100 * value
    words = f"{percent:.1f}" if 0 < percent < 10 else f"{percent:.0f}"
    return f"{words}{SPACE}%"


def duration(seconds: float | None) -> str:
    """`seconds` in its two largest units: "3 h 20 min"."""
    return ABSENT if seconds is None else figures.duration(seconds).replace(" ", SPACE)


def size(value: float | None) -> str:
    """`value`, in bytes, in GB."""
    return ABSENT if value is None else number(value / _GB, "GB")


def zone(offset: timedelta) -> str:
    """The name of the times of a report: "UTC+01:00"."""
    return str(timezone(offset))


def moment(seconds: float | None, offset: timedelta) -> str:
    """A time in seconds since the epoch, by the minute."""
    return ABSENT if seconds is None else f"{_local(seconds, offset):%Y-%m-%d %H:%M}"


def date(seconds: float, offset: timedelta) -> str:
    """The day of a time in seconds since the epoch: "2026-11-03"."""
    return f"{_local(seconds, offset):%Y-%m-%d}"


def day(seconds: float, offset: timedelta) -> str:
    """The day of a time in seconds since the epoch: "3 November 2026"."""
    local = _local(seconds, offset)
    return f"{local.day} {local:%B %Y}"


def period(since: float, until: float, offset: timedelta) -> str:
    """Two days, or two times if the period is shorter than two days."""
    if until - since < 2 * _DAY:
        return f"{moment(since, offset)} to {moment(until, offset)}"
    return f"{day(since, offset)} to {day(until, offset)}"


def significant(value: float | None, digits: int = 4) -> float | int | None:
    """`value` rounded to `digits` significant digits; None if it is not finite. Shortens curves in the file."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded


def mean(values: Sequence[float | None]) -> float | None:
    """Of the values that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _local(seconds: float, offset: timedelta) -> datetime:
    return datetime.fromtimestamp(seconds, timezone(offset))
