"""Which points of a search train on, and how far: successive halving, and its asynchronous form ASHA. Pure.

Every point trains to the first rung, a share of its steps, and pauses there. The best 1/eta of a rung go on to the
next, from where they stand. Halving waits until all of a rung have a value (Jamieson & Talwalkar, arXiv:1502.07943);
ASHA decides whenever a point has one (Li et al., arXiv:1810.05934). Both may be asked again at any time, with points
that came later and values that are new or other: what was decided stays, and what is missing follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["grid", "random", "halving", "asha", "tpe"]

DECIDING: tuple[Kind, ...] = ("halving", "asha", "tpe")
"""Kinds in which what a point does depends on the values of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """How points are compared, and how many go on."""

    kind: Kind
    metric: str
    """Such as ``validation/loss``."""
    lower_is_better: bool
    eta: int
    """One of so many points of a rung goes on."""
    rungs: int
    """The last one is the end of training."""
    width: int
    """Points of ASHA that train at the same time at most."""

    def fraction(self, rung: int) -> float:
        """The share of its steps after which a point pauses at `rung` (from 0); 1 for the last."""
        return float(self.eta) ** (rung - self.last)

    @property
    def last(self) -> int:
        """The number of the last rung."""
        return self.rungs - 1

    def badness(self, value: float | None) -> float:
        """A number that is smaller for better values; infinite for none, and for one that is not finite."""
        if value is None or not math.isfinite(value):
            return math.inf
        return value if self.lower_is_better else -value


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A point of the search."""

    run: str
    """The name of its run's folder: the signature."""
    told: int | None = None
    """The rung to which it was told to train; None if it has not begun."""
    values: Mapping[int, float | None] = field(default_factory=dict)
    """By rung the value of the metric; None where there is none, as the run failed or was cancelled."""

    @property
    def is_open(self) -> bool:
        """Whether it trains, or is to: it has no value at the rung to which it was told to train."""
        return self.told is not None and self.told not in self.values


@dataclass(frozen=True, slots=True)
class Move:
    """A point is to train to a rung."""

    run: str
    rung: int


def moves(search: Search, points: Sequence[Point]) -> list[Move]:
    """What follows from the values that are there, in the order in which it is to be done."""
    if search.kind == "halving":
        begun = [Move(point.run, 0) for point in points if point.told is None]
        return begun or _halving(search, points)
    return _asynchronous(search, points)


def is_over(search: Search, points: Sequence[Point]) -> bool:
    """Whether nothing is left to do until somebody adds a point."""
    return not any(point.is_open for point in points) and not moves(search, points)


def ranked(search: Search, points: Sequence[Point], rung: int) -> list[Point]:
    """The points that have a value at `rung`, the best first; equal ones in the order in which they were added."""
    there = [point for point in points if search.badness(point.values.get(rung)) < math.inf]
    return sorted(there, key=lambda point: search.badness(point.values[rung]))


def _halving(search: Search, points: Sequence[Point]) -> list[Move]:
    """The promotions from the lowest rung that has any. A rung is decided once no point trains at it or below."""
    for rung in range(search.last):
        if any(point.is_open and point.told is not None and point.told <= rung for point in points):
            return []
        if promoted := _promoted(search, points, rung, fewest=1):
            return promoted
    return []


def _asynchronous(search: Search, points: Sequence[Point]) -> list[Move]:
    """As many moves as there is room for: promotions before new points, those of higher rungs first.

    Once nothing else is left, the best of a rung with fewer than `eta` values goes on, so that one reaches the end.
    """
    room = search.width - sum(point.is_open for point in points)
    found = [move for rung in reversed(range(search.last)) for move in _promoted(search, points, rung, fewest=0)]
    found += [Move(point.run, 0) for point in points if point.told is None]
    if not found and not any(point.is_open for point in points):
        rungs = (_promoted(search, points, rung, fewest=1) for rung in range(search.last))
        found = next((promoted for promoted in rungs if promoted), [])
    return found[: max(0, room)]


def _promoted(search: Search, points: Sequence[Point], rung: int, fewest: int) -> list[Move]:
    """Those of the best 1/eta of all that were at `rung`, failed ones among them, which have not gone on yet."""
    reported = sum(rung in point.values for point in points)
    best = ranked(search, points, rung)[: max(fewest, reported // search.eta)]
    return [Move(point.run, rung + 1) for point in best if point.told == rung]
