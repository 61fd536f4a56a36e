"""A table of two properties of jobs of which only the shares of each are published, and means of one by the other.

Of all such tables it is the one that assumes nothing else (the largest entropy): row i is the columns' shares, each
multiplied by its own factor and by exp(tilt_i * column), where the tilt gives the row its mean. It is found by
proportional fitting (Deming and Stephan, Annals of Mathematical Statistics 11(4), 1940).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDS = 200
STEEPEST = 3.0
"""The largest tilt: from one column to the next a factor of 20."""
TOLERANCE = 1e-6


def joint_shares(
    rows: Sequence[float], columns: Sequence[float], values: Sequence[float], means: Sequence[float]
) -> list[list[float]]:
    """The share of jobs in each cell.

    Args:
        rows: the share of jobs in each row; they add up to 1, as do those of the columns.
        columns: the share in each column.
        values: what a job of each column counts in the mean, ascending.
        means: the mean that each row is to have. One that its row cannot have together with the columns' shares is
            reached as far as it goes.
    """
    table = [[row * column for column in columns] for row in rows]
    for _ in range(ROUNDS):
        table = [_with_mean(line, row, values, mean) for line, row, mean in zip(table, rows, means, strict=True)]
        sums = [math.fsum(line[at] for line in table) for at in range(len(columns))]
        if max(abs(total - column) for total, column in zip(sums, columns, strict=True)) < TOLERANCE:
            break
        factors = [column / total if total else 0.0 for column, total in zip(columns, sums, strict=True)]
        table = [[cell * factor for cell, factor in zip(line, factors, strict=True)] for line in table]
    return table


def _with_mean(line: Sequence[float], share: float, values: Sequence[float], mean: float) -> list[float]:
    """The row with its share and, by its tilt, its mean."""
    low, high = -STEEPEST, STEEPEST
    for _ in range(40):
        tilt = (low + high) / 2
        tilted = _tilted(line, tilt)
        if math.fsum(map(math.prod, zip(tilted, values, strict=True))) < mean:
            low = tilt
        else:
            high = tilt
    return [share * cell for cell in tilted]


def _tilted(line: Sequence[float], tilt: float) -> list[float]:
    """The row's cells, tilted, as shares of the row."""
    cells = [cell * math.exp(tilt * (at - len(line) / 2)) for at, cell in enumerate(line)]
    total = math.fsum(cells)
    return [cell / total for cell in cells]
