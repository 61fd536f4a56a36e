"""How many rows fit into one pass: found by trying, without a crash."""

from __future__ import annotations

import math
from collections.abc import Callable

GROWTH = 8
"""By how much a trial may be larger than what is known to fit: peaks of small passes say little of large ones."""

CLOSE = 16
"""The search ends when what fits and what does not are less than one part in so many apart."""


def most_rows(peak: Callable[[int], float], capacity: float, limit: int) -> int:
    """About the largest number of rows, up to `limit`, whose pass has its peak within `capacity`; 0 if none fits.

    A pass takes what the weights take, and so much for each row. So each trial is as large as those before it say will
    just fit; after one that did not fit, the next is in the middle.

    Args:
        peak: bytes that a pass over so many rows takes; infinite if memory ran out.
    """
    fitting: list[tuple[int, float]] = []
    too_many = limit + 1
    rows = 1
    while True:
        taken = peak(rows)
        if taken <= capacity:
            fitting.append((rows, taken))
        else:
            too_many = rows
        most = fitting[-1][0] if fitting else 0
        if not fitting or too_many - most <= max(1, most // CLOSE):
            return most
        rows = _next_trial(fitting, too_many, limit, capacity)


def _next_trial(fitting: list[tuple[int, float]], too_many: int, limit: int, capacity: float) -> int:
    most, taken = fitting[-1]
    if too_many <= limit:
        return (most + too_many) // 2
    if len(fitting) == 1:
        return most + 1
    fewer, less = fitting[-2]
    per_row = (taken - less) / (most - fewer)
    expected = most + math.floor((capacity - taken) / per_row) if per_row > 0 else limit
    return min(max(expected, most + 1), GROWTH * most, limit)


def most_rows_safely(peak: Callable[[int], float], base: float, capacity: float, limit: int) -> int:
    """`most_rows` by trials of which none takes more than `capacity`, if one row does not: memory never runs out.

    What a pass takes beside `base` grows at most in proportion to its rows: of each tensor of a pass every row has its
    part, or it is the same for any number of rows. So each trial is as large as that allows.

    Args:
        peak: as for `most_rows`; infinite also for a pass that is refused.
        base: bytes that are taken whatever is done, which are part of every peak.
    """
    rows, too_many = 1, limit + 1
    taken = peak(rows)
    if taken > capacity:
        return 0
    while True:
        allowed = limit if taken <= base else math.floor(rows * (capacity - base) / (taken - base))
        most = min(allowed, too_many - 1)
        if most - rows < max(1, rows // CLOSE):
            return rows
        trial = most if too_many > limit else min(most, (rows + too_many) // 2)
        peak_of_trial = peak(trial)
        if peak_of_trial <= capacity:
            # What was refused was by a bound that is lower now.
            rows, taken, too_many = trial, peak_of_trial, limit + 1
        else:
            too_many = trial
