"""What is shown of a sweep, whatever the form. Times are in seconds, hours in hours. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Standing = Literal["done", "trains", "waits", "stopped", "new"]
"""What a point does: it has its value at the rung to which it was told to train; it trains; its job is in the queue;
nothing trains it although it is to go on; it was not told to train yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPoint:
    """A point of the sweep."""

    run: str
    """``name/signature``."""
    settings: Mapping[str, Any]
    """Those that tell it from the other points, by their full names."""
    rung: int | None
    """The rung to which it was told to train; None if it has not begun."""
    values: Mapping[int, float | None]
    """By rung the value of the metric; None if it failed there."""
    standing: Standing
    message: str | None = None
    """Why it waits, was stopped, or has no value, as a sentence."""
    step: int | None = None
    hours: float = 0.0
    """Of its attempts, from their start to their end."""
    gpu_hours: float = 0.0

    @property
    def reached(self) -> int:
        """The highest rung at which it has a value; -1 if there is none."""
        return max((rung for rung, value in self.values.items() if is_value(value)), default=-1)

    @property
    def value(self) -> float | None:
        """Its value at that rung."""
        return self.values.get(self.reached)

    @property
    def has_failed(self) -> bool:
        """Whether it has no value at the rung to which it was told to train."""
        return self.rung is not None and self.rung in self.values and not is_value(self.values[self.rung])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A rung of the sweep."""

    number: int
    """From 0."""
    fraction: float
    """The share of the steps of a whole training at which points pause; 1 for the last."""
    step: int | None
    """The last step of most points there; None if none has come so far."""
    told: int
    """Points that were told to train to it."""
    went_on: int
    """Those of them that were told to train to the next."""
    counts: Mapping[Standing, int]
    """The others by what they do."""
    failed: int
    """Points without a value there."""
    best: float | None
    values: tuple[float, ...]
    """All that points have there, the best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What the sweep has used, and what the same points would use if all of them trained to the end."""

    hours: float
    gpu_hours: float
    full_hours: float | None
    """Estimated from the time of a step; None if no point has trained a step."""
    full_gpu_hours: float | None

    @property
    def share(self) -> float | None:
        """Of the time that the full grid would take."""
        return self.hours / self.full_hours if self.full_hours else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchProgress:
    """A sweep."""

    name: str
    kind: str
    """As in `sweep.search`; ``grid`` for one without a search."""
    metric: str | None
    lower_is_better: bool
    eta: int | None
    """One of so many points of a rung goes on; None without rungs."""
    max_points: int | None
    is_over: bool
    """Whether nothing is left to do until somebody adds a point."""
    parameters: tuple[str, ...]
    """The settings that differ."""
    rungs: tuple[Rung, ...]
    points: tuple[SearchPoint, ...]
    """The best first: by the rung that they have reached, then by the value there."""
    cost: Cost
    waits: tuple[str, ...] = field(default=())
    """What has to happen for the sweep to go on, as sentences."""
    stands_still: bool = False
    """Whether something is left to do, and no run is at work that would decide it."""

    @property
    def best(self) -> SearchPoint | None:
        """The best point, of those that have come farthest; None if none has a value."""
        return self.points[0] if self.points and self.points[0].reached >= 0 else None

    @property
    def equally_good(self) -> int:
        """Points that have come as far as the best and have the same value; 0 without a best."""
        if self.best is None:
            return 0
        return sum((point.reached, point.value) == (self.best.reached, self.best.value) for point in self.points)


def is_value(value: float | None) -> bool:
    """Whether points can be compared by it."""
    return value is not None and math.isfinite(value)


def order(point: SearchPoint, *, lower_is_better: bool) -> tuple[float, float]:
    """The key by which the best points come first."""
    value = point.value
    return (-point.reached, math.inf if value is None else value if lower_is_better else -value)


def setting_word(value: Any) -> str:
    """A setting as it is typed."""
    if isinstance(value, str):
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        return json.dumps(value, default=str)
    words = f"{value:g}" if abs(value) >= 1e-3 or not value else f"{value:e}"
    mantissa, _, exponent = words.partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if exponent else words
