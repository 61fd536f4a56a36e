"""Numbers as people read them."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def clock(seconds: float) -> str:
    """`1:02`, or `3:04:05` from an hour on, or `2 d 3:04` from a day on."""
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR}:{whole % _HOUR // _MINUTE:02}"
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"


def duration(seconds: float) -> str:
    """`4.2 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    if whole >= _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{seconds:.1f} s"


def loss(value: float) -> str:
    """`0.412`, or `4.12e-03` where three decimals would hide it."""
    return f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.3f}"


def rate(value: float) -> str:
    """`12,345`, or `3.2` where it is small."""
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def value(name: str, number: float | int | str) -> str:
    """`number` in the way that suits `name`: `…loss`, `…seconds` and `…/s` are known, the rest goes by its size."""
    if isinstance(number, str):
        return number
    if isinstance(number, int):
        return f"{number:,}"
    if name.endswith("seconds"):
        return duration(number)
    if name.endswith("loss"):
        return loss(number)
    return rate(number) if name.endswith("/s") or abs(number) >= 1000 else f"{number:.4f}"
