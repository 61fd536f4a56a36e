"""Numbers as people read them, and what sums up a series: percentiles, and a few points of many. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal, TypeVar

Unit = Literal["seconds", "share", "index", "count"]
"""What a figure is: a time, a share of 1 that people read in per cent, an index from 0 to 1, or a count."""

Point = TypeVar("Point")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def clock(seconds: float) -> str:
    """A duration such as `1:02`, from an hour on `3:04:05`, from a day on `2 d 3:04`."""
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR}:{whole % _HOUR // _MINUTE:02}"
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: `4.2 s`, `42 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`, `3 h`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    units = [(_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")]
    first = next(index for index, (size, _) in enumerate(units) if whole >= size)
    (large, name), (small, rest_name) = units[first : first + 2]
    rest = whole % large // small
    return f"{whole // large} {name}" + (f" {rest} {rest_name}" if rest else "")


def span(seconds: float) -> str:
    """A duration in one unit, with two digits or more: `40 s`, `25 min`, `1.5 h`, `3 days`."""
    if seconds < 100:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 100 * _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 3 * _DAY:
        return f"{brief(seconds / _HOUR)} h"
    return f"{brief(seconds / _DAY)} days"


def short_span(seconds: float) -> str:
    """How long something has been so, for narrow columns: `45s`, `3m`, `12h`, `2d`."""
    for size, unit, least in ((_DAY, "d", 2 * _DAY), (_HOUR, "h", _HOUR), (_MINUTE, "m", _MINUTE)):
        if seconds >= least:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def brief(value: float) -> str:
    """A number as people say it: two digits below ten, whole from there on."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share of 1, such as `12 %`."""
    return f"{100 * share:.0f} %"


def loss(value: float) -> str:
    """A loss such as `0.412`, or `4.12e-03` below 0.01."""
    return f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.3f}"


def rate(value: float) -> str:
    """A rate such as `12,345`, or `3.2` below 10."""
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def value(name: str, number: float | int | str) -> str:
    """`number` in the format for names that end in `loss`, `seconds` or `/s`; for others by its size."""
    if isinstance(number, str):
        return number
    if isinstance(number, int):
        return f"{number:,}"
    if name.endswith("seconds"):
        return duration(number)
    if name.endswith("loss"):
        return loss(number)
    return rate(number) if name.endswith("/s") or abs(number) >= 1000 else f"{number:.4f}"


def percentile(values: Collection[float], share: float) -> float:
    """The smallest of `values`, of which there is one at least, that at least `share` of them do not exceed (nearest
    rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def thinned(series: Sequence[Point], most: int) -> Sequence[Point]:
    """At most `most` points of a series, evenly spread; the first and the last are always there."""
    if len(series) <= most:
        return series
    return [series[round(number * (len(series) - 1) / (most - 1))] for number in range(most)]
