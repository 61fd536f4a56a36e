"""The search for the most rows: close to the most that fit, with few trials, and careful ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.model.device.micro_batch import CLOSE, GROWTH, most_rows, most_rows_safely


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


@given(
    base=st.integers(0, 1000),
    tensors=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), min_size=1, max_size=4),
    capacity=st.integers(100, 100_000),
    limit=st.integers(1, 3000),
    refused=st.one_of(st.none(), st.integers(2, 3000)),
)
def test_safe_trials_never_take_more_than_there_is(
    base: int, tensors: list[tuple[int, int]], capacity: int, limit: int, refused: int | None
) -> None:
    """At each moment of a pass some bytes are taken, and some for each row; from `refused` rows on it is not tried."""
    tried: list[int] = []

    def taken(rows: int) -> float:
        return base + max(fixed + per_row * rows for fixed, per_row in tensors)

    def peak(rows: int) -> float:
        if refused is not None and rows >= refused:
            return math.inf
        tried.append(rows)
        return taken(rows)

    found = most_rows_safely(peak, base, capacity, limit)
    if taken(1) > capacity:
        assert (found, tried) == (0, [1])
        return
    assert all(taken(rows) <= capacity and rows <= limit for rows in tried)
    assert found == max(tried)
    fitting = [rows for rows in range(1, limit + 1) if taken(rows) <= capacity and rows < (refused or limit + 1)]
    # Per row it takes a part of the capacity at least, so that the bound comes close.
    assert found <= max(fitting)
    if refused is None and all(fixed == 0 for fixed, _ in tensors):
        assert found >= max(fitting) - max(1, max(fitting) // CLOSE)
    assert len(tried) <= 60
