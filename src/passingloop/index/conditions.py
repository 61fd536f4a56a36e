"""Whether a run fulfils a condition, and the order of runs by a key. Pure."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from passingloop.index.expression import Both, Comparison, Either, Expression, Not, Value
from passingloop.index.field_values import CHOICES, DURATIONS, TIMES, check_value, moment, number_of, seconds

ValueOf = Callable[[str], Any]
"""The value of a key for one run: None if it has none; a text, a number, a boolean, or a list of such."""

Predicate = Callable[[ValueOf], bool]

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def predicate(expression: Expression, users: Collection[str] = (), metrics: Collection[str] = ()) -> Predicate:
    """The function that says for a run, by its values, whether it fulfils the condition.

    Args:
        users: the owners of the runs.
        metrics: the keys that are metrics.

    Raises:
        ConfigError: a key is compared with what cannot be its value.
    """
    match expression:
        case Comparison():
            return _comparison(expression, users, metrics)
        case Not(negated=negated):
            holds = predicate(negated, users, metrics)
            return lambda value_of: not holds(value_of)
        case Both(parts=parts):
            all_of = [predicate(part, users, metrics) for part in parts]
            return lambda value_of: all(holds(value_of) for holds in all_of)
        case Either(parts=parts):
            any_of = [predicate(part, users, metrics) for part in parts]
            return lambda value_of: any(holds(value_of) for holds in any_of)


def _comparison(comparison: Comparison, users: Collection[str], metrics: Collection[str]) -> Predicate:
    key = comparison.key
    for value in comparison.values:
        if comparison.operator != "~" or not any(map(_likeness(value.text), CHOICES.get(key, [value.text]))):
            check_value(key, value, users, metrics, comparison.operator)
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
    is_null = value.is_null
    if key in TIMES and not is_null:
        return _time_test(key, sign, value)
    number = seconds(key, value) if key in DURATIONS and not is_null else number_of(value.text)
    if sign in ORDERS:
        order = ORDERS[sign]
        return lambda item: _in_order(order, item, number, value.text)
    return lambda item: is_null if item is None else _is_equal(item, number, value.text)


def _time_test(key: str, sign: str, value: Value) -> Callable[[Any], bool]:
    """The test of a time as ISO 8601, which may be None."""
    sought = moment(key, value)
    if sign in ORDERS:
        order = ORDERS[sign]
        return lambda item: item is not None and order(datetime.fromisoformat(item), sought.begin)
    return lambda item: item is not None and sought.is_at(item)


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


def sort_key(value: Any) -> tuple[int, Any]:
    """A key to sort values of any kind by: numbers, then texts. None and NaN are for the caller to put last."""
    if isinstance(value, bool | int | float):
        return 0, value
    return 1, " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a value has no place in an order: it comes last, whichever way is sorted."""
    return value is None or value in ("", [], ()) or (isinstance(value, float) and math.isnan(value))
