from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from passingloop import figures


@pytest.mark.parametrize(
    ("seconds", "clock", "duration"),
    [
        (0, "0:00", "0.0 s"),
        (4.24, "0:04", "4.2 s"),
        (42.4, "0:42", "42 s"),
        (59.6, "1:00", "1 min"),
        (62, "1:02", "1 min 2 s"),
        (125.3, "2:05", "2 min 5 s"),
        (3599.9, "1:00:00", "1 h"),
        (11045, "3:04:05", "3 h 4 min"),
        (183900, "2 d 3:05", "2 d 3 h"),
    ],
)
def test_times(seconds: float, clock: str, duration: str) -> None:
    assert figures.clock(seconds) == clock
    assert figures.duration(seconds) == duration


@pytest.mark.parametrize(
    ("seconds", "span", "short"),
    [
        (-3, "0 s", "0s"),
        (59.4, "59 s", "59s"),
        (99, "99 s", "2m"),
        (100, "2 min", "2m"),
        (5999, "100 min", "2h"),
        (6000, "1.7 h", "2h"),
        (86400, "24 h", "24h"),
        (180_000, "50 h", "2d"),
        (259200, "3 days", "3d"),
    ],
)
def test_spans(seconds: float, span: str, short: str) -> None:
    assert figures.span(seconds) == span
    assert figures.short_span(seconds) == short


@pytest.mark.parametrize(
    ("values", "median", "p95", "most"),
    [([5], 5, 5, 5), ([1, 2], 1, 2, 2), ([3, 1, 2], 2, 3, 3), (range(1, 101), 50, 95, 100), ([-2.5, 7.0], -2.5, 7, 7)],
)
def test_percentiles(values: Sequence[float], median: float, p95: float, most: float) -> None:
    assert [figures.percentile(values, share) for share in (0.5, 0.95, 1.0)] == [median, p95, most]


def test_long_series_are_thinned() -> None:
    kept = figures.thinned(range(10_001), 120)
    assert len(kept) == 120
    assert (kept[0], kept[-1]) == (0, 10_000)
    assert {b - a for a, b in itertools.pairwise(kept)} <= {84, 85}
    assert figures.thinned(range(1_000), 5) == [0, 250, 500, 749, 999]
    assert figures.thinned([1, 2, 3], 3) == [1, 2, 3]


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
