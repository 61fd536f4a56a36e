"""What a field can be compared with. A typing error is refused: under `!=` or `not` it would be true of every run."""

from __future__ import annotations

import math
import pwd
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from passingloop.config.build import did_you_mean
from passingloop.errors import ConfigError
from passingloop.index.durations import duration_seconds
from passingloop.index.expression import Operator, Value
from passingloop.rundir.events import Cause
from passingloop.status.state import Kind

CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": get_args(Kind),
    "cause": get_args(Cause),
    "launcher": ("shell", "slurm"),
    "confirmed": ("true", "false"),
}
"""Fields that have one of a few words."""
NUMBERS = ("gpus", "attempts", "step", "steps", "gpu_hours", "gpu-hours")
DURATIONS = ("age",)
"""Fields whose values are seconds, and are compared with such as ``7d``."""
TIMES = ("created", "since")
"""Fields whose values are UTC as ISO 8601, and are compared with a time, or a year, month or day."""

WHOLE = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
PERIOD = re.compile(r"\d{4}(-\d\d){0,2}")
"""A year, a month or a day."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, or the begin of a year, month or day."""

    begin: datetime
    period: str | None
    """How times in that year, month or day begin; None for a time."""

    def is_at(self, time: str) -> bool:
        """Whether a time, UTC as ISO 8601, is this one or in the period."""
        return datetime.fromisoformat(time) == self.begin if self.period is None else time.startswith(self.period)


def check_value(key: str, value: Value, users: Collection[str], metrics: Collection[str], sign: Operator) -> None:
    """Check that a key can have the value that it is compared with.

    Args:
        users: the owners of the runs.
        metrics: the keys that are metrics, which are numbers, or not a number.

    Raises:
        ConfigError: it cannot.
    """
    text = value.text
    if value.is_null:
        return
    if key == "user" and text not in users and not _is_account(text):
        raise ConfigError(
            f"You compare user with {text}, but none of the runs here is that user's, and this machine knows nobody of "
            f"that name.{did_you_mean(text, users)}"
        )
    choices = CHOICES.get(key)
    if choices and (text.lower() if key == "confirmed" else text) not in choices:
        raise ConfigError(
            f"You compare {key} with {text}, but it is never that.{did_you_mean(text, choices)} "
            f"It is one of {', '.join(choices)}."
        )
    is_number = number_of(text) is not None or (key in metrics and sign in ("=", "in") and text.lower() == "nan")
    if (key in NUMBERS or key in metrics) and not is_number:
        raise ConfigError(f"You compare {key} with {text}, which is no number. Write one, such as {key}>2.")


def number_of(text: str) -> float | None:
    """The number that `text` is, as an int if it is a whole one; None if it is none."""
    if WHOLE.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    return {"infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}.get(text.lower())


def seconds(key: str, value: Value) -> float:
    """The duration that a value is.

    Raises:
        ConfigError: it is none.
    """
    found = duration_seconds(value.text)
    if found is None:
        raise ConfigError(
            f"You compare {key} with {value.text}, which is no duration. Write a number and one of s, m, h, d and w, "
            f"such as {key}<7d."
        )
    return found


def moment(key: str, value: Value) -> Moment:
    """The time that a value is, UTC if it does not say otherwise.

    Raises:
        ConfigError: it is none.
    """
    period = value.text if PERIOD.fullmatch(value.text) else None
    try:
        begin = datetime.fromisoformat(value.text + "-01-01"[len(period) - 4 :] if period else value.text)
    except ValueError:
        raise ConfigError(
            f"You compare {key} with {value.text}, which is no time. Write one such as {key}<2026-11-01, "
            f"{key}>2026-11 or {key}>2026-11-01T08:30; age<7d counts from now."
        ) from None
    return Moment(begin if begin.tzinfo else begin.replace(tzinfo=UTC), period)


def _is_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
