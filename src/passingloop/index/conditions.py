"""Whether a run fulfils a condition, and the order of runs by a key. Pure."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from passingloop.errors import ConfigError
from passingloop.index.expression import Both, Comparison, Either, Expression, Not, Value

ValueOf = Callable[[str], Any]
"""The value of a key for one run: None if it has none; a text, a number, a boolean, or a list of such."""

Predicate = Callable[[ValueOf], bool]

WHOLE = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DURATION = re.compile(r"(\d+\.?\d*|\.\d+)([smhdw])")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATIONS = ("age",)
"""Keys whose values are seconds, and are compared with such as ``7d``."""

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def predicate(expression: Expression) -> Predicate:
    """The function that says for a run, by its values, whether it fulfils the condition.

    Raises:
        ConfigError: a duration is not written as one.
    """
    match expression:
        case Comparison():
            return _comparison(expression)
        case Not(negated=negated):
            holds = predicate(negated)
            return lambda value_of: not holds(value_of)
        case Both(parts=parts):
            all_of = [predicate(part) for part in parts]
            return lambda value_of: all(holds(value_of) for holds in all_of)
        case Either(parts=parts):
            any_of = [predicate(part) for part in parts]
            return lambda value_of: any(holds(value_of) for holds in any_of)


def _comparison(comparison: Comparison) -> Predicate:
    key = comparison.key
    tests = [_test(key, comparison.operator, value) for value in comparison.values]

    def holds(value_of: ValueOf) -> bool:
        value = value_of(key)
        items = value if isinstance(value, list | tuple) else [value]
        return any(test(item) for item in items or [None] for test in tests)

    return holds


def _test(key: str, sign: str, value: Value) -> Callable[[Any], bool]:
    """The test of a single value, which may be None."""
    if sign == "~":
        return _likeness(value.text)
    number = _seconds(key, value) if key in DURATIONS else number_of(value.text)
    if sign in ORDERS:
        order = ORDERS[sign]
        return lambda item: _in_order(order, item, number, value.text)
    is_null = not value.quoted and value.text.lower() in ("null", "none")
    return lambda item: is_null if item is None else _is_equal(item, number, value.text)


def _is_equal(item: Any, number: float | None, text: str) -> bool:
    if isinstance(item, bool):
        return text.lower() == str(item).lower()
    if isinstance(item, int | float):
        if isinstance(item, float) and math.isnan(item):
            return text.lower() == "nan"
        return number is not None and item == number
    return str(item) == text


def _in_order(order: Callable[[Any, Any], bool], item: Any, number: float | None, text: str) -> bool:
    """False for what has no order, such as a number and a word."""
    if item is None or isinstance(item, bool):
        return False
    if isinstance(item, int | float):
        return number is not None and order(item, number)
    return order(str(item), text)


def _likeness(text: str) -> Callable[[Any], bool]:
    """A pattern with ``*`` and ``?`` is for the whole value, other text may be anywhere in it; in either case."""
    sought = text.lower()
    if re.search(r"[*?]", sought):
        pattern = re.compile(fnmatch.translate(sought.replace("[", "[[]")))
        return lambda item: item is not None and pattern.match(str(item).lower()) is not None
    return lambda item: item is not None and sought in str(item).lower()


def number_of(text: str) -> float | None:
    """The number that `text` is, as an int if it is a whole one; None if it is none."""
    if WHOLE.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    return {"infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}.get(text.lower())


def _seconds(key: str, value: Value) -> float | None:
    if value.text.lower() in ("null", "none"):
        return None
    found = DURATION.fullmatch(value.text)
    if found is None:
        raise ConfigError(
            f"You compare {key} with {value.text}, which is no duration. Write a number and one of s, m, h, d and w, "
            f"such as {key}<7d."
        )
    return float(found[1]) * UNITS[found[2]]


def sort_key(value: Any) -> tuple[int, Any]:
    """A key to sort values of any kind by: numbers, then texts. None and NaN are for the caller to put last."""
    if isinstance(value, bool | int | float):
        return 0, value
    return 1, " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a value has no place in an order: it comes last, whichever way is sorted."""
    return value is None or value in ("", [], ()) or (isinstance(value, float) and math.isnan(value))
