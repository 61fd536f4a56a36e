"""How long texts are, in tokens: percentiles, and a histogram that the parts share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate

import numpy as np

PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
BINS = 48
"""Of the histogram, about; the last holds whatever is longer."""

Lengths = Mapping[int, int]
"""How many texts have each length."""


def percentiles(lengths: Lengths) -> dict[str, int]:
    """The lengths that so many percent of the texts do not exceed; `p0` and `p100` are the extremes."""
    known = sorted(lengths)
    upto = list(accumulate(lengths[length] for length in known))
    ranks = [max(1, -(-upto[-1] * percent // 100)) for percent in PERCENTILES]  # the nearest rank
    places = np.searchsorted(upto, ranks)
    return {f"p{percent}": known[place] for percent, place in zip(PERCENTILES, places, strict=True)}


def bins(parts: Collection[Lengths], max_length: int) -> list[int]:
    """The longest length in each bin; `max_length` ends one of them unless all are shorter.

    What few texts reach is left to the last: the bins go as far as twice the 99th percentile at most.
    """
    known = [percentiles(lengths) for lengths in parts]
    top = min(max(part["p100"] for part in known), 2 * max(part["p99"] for part in known))
    width = max(1, -(-top // BINS))
    return list(range(max_length % width or width, top + width, width))


def histogram(lengths: Lengths, ends: list[int]) -> list[int]:
    """How many texts are in each bin."""
    places = np.minimum(np.searchsorted(ends, list(lengths)), len(ends) - 1)
    return [int(count) for count in np.bincount(places, list(lengths.values()), len(ends))]
