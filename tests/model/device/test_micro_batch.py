"""The search for the most rows: close to the most that fit, with few trials, and careful ones."""

from __future__ import annotations

import math

import pytest

from passingloop.model.device.micro_batch import CLOSE, GROWTH, most_rows


class Memory:
    """A device of `total` bytes, on which a pass takes `base`, `per_row` for each row, and `square` for its square."""

    def __init__(self, base: float, per_row: float, total: float, square: float = 0.0) -> None:
        self.base, self.per_row, self.total, self.square = base, per_row, total, square
        self.tried: list[int] = []

    def peak(self, rows: int) -> float:
        self.tried.append(rows)
        taken = self.base + self.per_row * rows + self.square * rows * rows
        return taken if taken <= self.total else math.inf


@pytest.mark.parametrize("square", [0.0, 0.5])
@pytest.mark.parametrize("per_row", [1.0, 3.0, 40.0, 900.0])
@pytest.mark.parametrize("base", [0.0, 500.0])
def test_it_comes_close_to_what_fits(base: float, per_row: float, square: float) -> None:
    memory = Memory(base, per_row, 2000.0, square)
    capacity = 1800.0
    found = most_rows(memory.peak, capacity, limit=10_000)
    fits = max(n for n in range(1, 2000) if base + per_row * n + square * n * n <= capacity)
    assert fits - max(1, fits // CLOSE) <= found <= fits
    assert len(memory.tried) <= 12
    assert len(memory.tried) == len(set(memory.tried))


def test_no_trial_is_much_larger_than_what_has_fitted() -> None:
    memory = Memory(0.0, 1.0, 1e6)
    assert most_rows(memory.peak, 1e6, limit=5000) == 5000
    largest = 1
    for rows in memory.tried:
        assert rows <= GROWTH * largest
        largest = max(largest, rows)


def test_more_than_the_limit_is_never_tried() -> None:
    for limit in (1, 2, 3, 17):
        memory = Memory(0.0, 1.0, 1e9)
        assert most_rows(memory.peak, 1e9, limit) == limit
        assert max(memory.tried) == limit


def test_what_does_not_fit_is_none() -> None:
    memory = Memory(100.0, 1.0, 50.0)
    assert most_rows(memory.peak, 45.0, limit=9) == 0
    assert memory.tried == [1]


def test_rows_that_take_nothing_more_do_not_confuse_it() -> None:
    assert most_rows(Memory(10.0, 0.0, 50.0).peak, 45.0, limit=900) == 900
