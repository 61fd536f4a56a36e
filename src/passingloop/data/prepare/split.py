"""Splits validation and test data off the training data, and limits parts, by hashes of the texts.

The result does not depend on the machine or the order of the examples. Equal texts
(`passingloop.data.prepare.equality`) have equal hashes, and so are always in the same part.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from passingloop.config.data import DataConfig, Part
from passingloop.data.prepare.equality import Hashes

Rows = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MAX_EXCESS = 1 << 18
"""Rows that are collected beyond twice the wanted number before the unwanted ones are discarded."""


def part_masks(hashes: Hashes, config: DataConfig, existing: Collection[Part]) -> dict[Part, NDArray[np.bool_]]:
    """For each part a mask of the training examples that go to it; `existing` parts of the source get none."""
    share = hashes / 2.0**64
    test_share = 0.0 if "test" in existing else config.test_fraction
    validation_share = 0.0 if "validation" in existing else config.validation_fraction
    test = share < test_share
    validation = ~test & (share < test_share + validation_share)
    return {"train": ~test & ~validation, "validation": validation, "test": test}


class LowestHashes:
    """Collects the rows with the `count` lowest hashes; of equal hashes the earlier rows. Memory is limited."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._hashes: list[Hashes] = [np.zeros(0, np.uint64)]
        self._rows: list[Rows] = [np.zeros(0, np.int64)]

    def add(self, hashes: Hashes, rows: Rows) -> None:
        """Add examples; their `rows` must be higher than those of earlier calls."""
        # The hashes have decided the part, so they are not uniform within it; the product is.
        self._hashes.append(hashes * _GOLDEN)
        self._rows.append(rows)
        if sum(map(len, self._rows)) > 2 * self._count + MAX_EXCESS:
            self.rows()

    def rows(self) -> Rows:
        """The chosen rows, sorted. The others are discarded."""
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        kept = np.sort(np.argsort(hashes, kind="stable")[: self._count])
        self._hashes, self._rows = [hashes[kept]], [rows[kept]]
        return self._rows[0]
