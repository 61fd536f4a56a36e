"""Formats numbers for people."""

from __future__ import annotations

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
    """A duration such as `4.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    if whole >= _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{seconds:.1f} s"


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
