"""Durations as people write them: ``7d``, ``36h``, ``7 days``. Pure."""

from __future__ import annotations

import re

DURATION = re.compile(r"(\d+\.?\d*|\.\d+) ?(s|seconds?|m|minutes?|h|hours?|d|days?|w|weeks?)")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""By their first letter."""


def duration_seconds(text: str) -> float | None:
    """The seconds that `text` says; None if it is no number with a unit, in full or by its first letter."""
    found = DURATION.fullmatch(text)
    return float(found[1]) * UNITS[found[2][0]] if found else None
