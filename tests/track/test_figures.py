from __future__ import annotations

import math

import pytest

from passingloop.track import figures


@pytest.mark.parametrize(
    ("seconds", "clock", "duration"),
    [
        (0, "0:00", "0.0 s"),
        (4.24, "0:04", "4.2 s"),
        (59.6, "1:00", "1 min 0 s"),
        (62, "1:02", "1 min 2 s"),
        (125.3, "2:05", "2 min 5 s"),
        (3599.9, "1:00:00", "1 h 0 min"),
        (11045, "3:04:05", "3 h 4 min"),
        (183900, "2 d 3:05", "2 d 3 h"),
    ],
)
def test_times(seconds: float, clock: str, duration: str) -> None:
    assert figures.clock(seconds) == clock
    assert figures.duration(seconds) == duration


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("test/accuracy", 0.91234, "0.9123"),
        ("test/macro_f1", 1.0, "1.0000"),
        ("test/loss", 0.31234, "0.312"),
        ("test/loss", 0.0041234, "4.12e-03"),
        ("test/loss", 0.0, "0.000"),
        ("test/loss", math.nan, "nan"),
        ("train_seconds", 125.3, "2 min 5 s"),
        ("tokens/s", 12345.6, "12,346"),
        ("samples/s", 3.21, "3.2"),
        ("test/perplexity", 12345.6, "12,346"),
        ("steps", 430, "430"),
        ("tokens", 1234567, "1,234,567"),
        ("export", "runs/a/export", "runs/a/export"),
    ],
)
def test_values(name: str, number: float | int | str, text: str) -> None:
    assert figures.value(name, number) == text
