"""Which part an example belongs to, by a stable hash of its text: the same on every machine and in every order.

Texts that count as the same (`passingloop.data.prepare.equality`) have equal hashes: they never stand in two parts.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from passingloop.config.data import DataConfig, Part
from passingloop.data.prepare.equality import Hashes

Rows = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SLACK = 1 << 18
"""Rows held beyond twice as many as are wanted, before the others are let go."""


def parts_of(hashes: Hashes, config: DataConfig, there: Collection[Part]) -> dict[Part, NDArray[np.bool_]]:
    """For training data: which examples stay, and which are split off for parts that are not `there`."""
    share = hashes / 2.0**64
    test_share = 0.0 if "test" in there else config.test_fraction
    validation_share = 0.0 if "validation" in there else config.validation_fraction
    test = share < test_share
    validation = ~test & (share < test_share + validation_share)
    return {"train": ~test & ~validation, "validation": validation, "test": test}


class Lowest:
    """The rows of the `count` lowest hashes, of equal ones the earlier; holds little more than those."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._hashes: list[Hashes] = [np.zeros(0, np.uint64)]
        self._rows: list[Rows] = [np.zeros(0, np.int64)]

    def add(self, hashes: Hashes, rows: Rows) -> None:
        """Take further examples into account; `rows` rise from call to call."""
        # The hashes already decided the part: mixed anew, they are again a fair sample of it.
        self._hashes.append(hashes * _GOLDEN)
        self._rows.append(rows)
        if sum(map(len, self._rows)) > 2 * self._count + SLACK:
            self.rows()

    def rows(self) -> Rows:
        """The chosen rows, rising; the others are let go."""
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        kept = np.sort(np.argsort(hashes, kind="stable")[: self._count])
        self._hashes, self._rows = [hashes[kept]], [rows[kept]]
        return self._rows[0]
