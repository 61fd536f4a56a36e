"""Lengths of texts in tokens: percentiles, and histograms with the same bins for all parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate

import numpy as np

PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
BINS = 48
"""Approximate number of bins of the histogram; the last one also has all longer texts."""

Lengths = Mapping[int, int]
"""The number of texts of each length."""


def percentiles(lengths: Lengths) -> dict[str, int]:
    """Percentiles of the lengths by nearest rank; `p0` and `p100` are the minimum and maximum."""
    values = sorted(lengths)
    cumulated = list(accumulate(lengths[length] for length in values))
    ranks = [max(1, -(-cumulated[-1] * percent // 100)) for percent in PERCENTILES]  # nearest rank
    places = np.searchsorted(cumulated, ranks)
    return {f"p{percent}": values[place] for percent, place in zip(PERCENTILES, places, strict=True)}


def bins(parts: Collection[Lengths], max_length: int) -> list[int]:
    """The largest length in each bin. `max_length` is one of them, unless all texts are shorter.

    The bins extend to twice the 99th percentile at most; the few longer texts are counted in the last bin.
    """
    parts_percentiles = [percentiles(lengths) for lengths in parts]
    longest = max(part["p100"] for part in parts_percentiles)
    top = min(longest, 2 * max(part["p99"] for part in parts_percentiles))
    width = max(1, -(-top // BINS))
    return list(range(max_length % width or width, top + width, width))


def histogram(lengths: Lengths, ends: list[int]) -> list[int]:
    """The number of texts in each bin."""
    places = np.minimum(np.searchsorted(ends, list(lengths)), len(ends) - 1)
    return [int(count) for count in np.bincount(places, list(lengths.values()), len(ends))]
