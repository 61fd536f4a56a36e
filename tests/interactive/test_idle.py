"""When a session is warned, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.interactive.idle import START_PATIENCE, IdleLimits, Standing, Verdict, verdict

HALF_AN_HOUR = IdleLimits(warning=1800, end=2700)
NEVER = IdleLimits(warning=0, end=2700)
CLOSE = IdleLimits(warning=100, end=110)
REVERSED = IdleLimits(warning=100, end=50)


def standing(**changes: Any) -> Standing:
    """A terminal came 10 s after the beginning, and was last used 1,000 s after it."""
    values: dict[str, Any] = {
        "now": 1001.0,
        "began": 0.0,
        "healthy": 10.0,
        "used": 1000.0,
        "warned": None,
        "attached": 1,
        "left": False,
        "lasting": False,
    }
    return Standing(**values | changes)


@pytest.mark.parametrize(
    ("changes", "limits", "what"),
    [
        ({}, HALF_AN_HOUR, "go on"),
        ({"now": 2799.0}, HALF_AN_HOUR, "go on"),
        ({"now": 2800.0}, HALF_AN_HOUR, "warn"),
        ({"now": 3000.0, "warned": 2800.0}, HALF_AN_HOUR, "go on"),
        ({"now": 3699.0, "warned": 2800.0}, HALF_AN_HOUR, "go on"),
        ({"now": 3700.0, "warned": 2800.0}, HALF_AN_HOUR, "idle"),
        # The node slept, or the keeper was stopped: nobody was warned yet.
        ({"now": 99000.0}, HALF_AN_HOUR, "warn"),
        ({"now": 99059.0, "warned": 99000.0}, HALF_AN_HOUR, "go on"),
        ({"now": 99060.0, "warned": 99000.0}, HALF_AN_HOUR, "idle"),
        # Use after a warning counts; the keeper forgets the warning then.
        ({"now": 3700.0, "used": 3000.0}, HALF_AN_HOUR, "go on"),
        # The site ends nobody for being idle.
        ({"now": 99000.0}, NEVER, "go on"),
        ({"now": 99000.0, "warned": 98000.0}, NEVER, "go on"),
        # Limits that are close together, or the wrong way round, leave some time to press a key.
        ({"now": 1109.0, "warned": 1100.0}, CLOSE, "go on"),
        ({"now": 1110.0, "warned": 1100.0}, CLOSE, "idle"),
        ({"now": 1159.0, "warned": 1100.0}, REVERSED, "go on"),
        ({"now": 1160.0, "warned": 1100.0}, REVERSED, "idle"),
        # The time without use begins when the session can be used, not when its job begins.
        ({"now": 2700.0, "healthy": 1500.0, "used": 0.0}, HALF_AN_HOUR, "go on"),
        ({"now": 3300.0, "healthy": 1500.0, "used": 0.0}, HALF_AN_HOUR, "warn"),
        # Nobody has come.
        ({"now": START_PATIENCE, "healthy": None, "used": 0.0, "attached": 0}, HALF_AN_HOUR, "go on"),
        ({"now": START_PATIENCE + 1, "healthy": None, "used": 0.0, "attached": 0}, HALF_AN_HOUR, "unused"),
        ({"now": START_PATIENCE + 1, "healthy": None, "used": 0.0, "attached": 0}, NEVER, "unused"),
        # The last one has left on purpose, or has been lost.
        ({"attached": 0, "left": True}, HALF_AN_HOUR, "left"),
        ({"attached": 0, "left": True}, NEVER, "left"),
        ({"attached": 0, "left": True, "healthy": None}, HALF_AN_HOUR, "left"),  # before the keeper had seen them
        ({"attached": 0, "left": False}, HALF_AN_HOUR, "go on"),
        ({"attached": 1, "left": True}, HALF_AN_HOUR, "go on"),
        ({"attached": 0, "left": True, "lasting": True}, HALF_AN_HOUR, "go on"),
        ({"attached": 0, "left": True, "lasting": True, "now": 2800.0}, HALF_AN_HOUR, "warn"),
    ],
)
def test_what_follows(changes: dict[str, Any], limits: IdleLimits, what: Verdict) -> None:
    assert verdict(standing(**changes), limits) == what
