"""Limits on single values, each with the words that name it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Limit:
    """A test on a value and what it asks for, as in "optim.lr must be <words>"."""

    words: str
    holds: Callable[[object], bool]


def limited(limit: Limit, default: Any = MISSING) -> Any:
    """A dataclass field whose value must satisfy `limit`."""
    return field(default=default, metadata={"limit": limit})


class Span(str):
    """A range of whole numbers as it is typed, such as ``1-8``: both ends belong to it."""

    __slots__ = ()
    PATTERN = re.compile(r"(\d{1,9})-(\d{1,9})")

    @property
    def low(self) -> int:
        return self._ends[0]

    @property
    def high(self) -> int:
        return self._ends[1]

    @property
    def _ends(self) -> tuple[int, int]:
        match = self.PATTERN.fullmatch(self)
        assert match, "build makes spans of what matches only"
        return int(match[1]), int(match[2])


def count_or_span(low: int) -> Limit:
    """A number from `low` on, or a `Span` of such, which starts at 1 at least."""

    def holds(value: object) -> bool:
        if isinstance(value, Span):
            return max(low, 1) <= value.low <= value.high
        return low <= _number(value)

    return Limit(f"{low} or more, or a range such as 1-8: two numbers from 1 on, the smaller one first", holds)


def at_least(low: float) -> Limit:
    return Limit(f"{low:.10g} or more", lambda v: low <= _number(v) < math.inf)


def between(low: float, high: float) -> Limit:
    return Limit(f"between {low:.10g} and {high:.10g}", lambda v: low <= _number(v) <= high)


def inside(low: float, high: float) -> Limit:
    return Limit(f"more than {low:.10g}, and less than {high:.10g}", lambda v: low < _number(v) < high)


def below(low: float, high: float) -> Limit:
    return Limit(f"{low:.10g} or more, and less than {high:.10g}", lambda v: low <= _number(v) < high)


def matches(pattern: str, words: str) -> Limit:
    return Limit(words, lambda v: isinstance(v, str) and re.fullmatch(pattern, v) is not None)


positive = Limit("more than 0", lambda v: 0 < _number(v) < math.inf)
one_or_more = at_least(1)
one_character = matches(r"[!-+\--/:-@\[-`{-~]", "a single character such as '\"' or '\\', no comma, letter or digit")


def _number(value: object) -> float:
    assert isinstance(value, (int, float))
    return value
