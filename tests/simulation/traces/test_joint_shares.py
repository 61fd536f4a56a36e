from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.simulation.traces.joint_shares import joint_shares
from tests.simulation.traces.made import few_examples

VALUES = [2.0**column for column in range(8)]

weights = st.lists(st.integers(1, 100), min_size=8, max_size=8)


def shares(amounts: list[int]) -> list[float]:
    return [amount / sum(amounts) for amount in amounts]


def means(table: list[list[float]]) -> list[float]:
    return [math.fsum(map(math.prod, zip(row, VALUES, strict=True))) / math.fsum(row) for row in table]


@few_examples
@given(st.lists(weights, min_size=2, max_size=4), st.data())
def test_a_table_has_the_shares_and_means_of_one_that_exists(cells: list[list[int]], data: st.DataObject) -> None:
    whole = sum(map(sum, cells))
    existing = [[cell / whole for cell in row] for row in cells]
    rows, columns = [sum(row) for row in existing], [sum(column) for column in zip(*existing, strict=True)]
    found = joint_shares(rows, columns, VALUES, means(existing))
    assert [sum(row) for row in found] == pytest.approx(rows)
    assert [sum(column) for column in zip(*found, strict=True)] == pytest.approx(columns, abs=1e-4)
    assert means(found) == pytest.approx(means(existing), rel=1e-3)


def test_rows_with_the_same_mean_are_independent_of_the_columns() -> None:
    columns = shares([5, 4, 3, 2, 2, 2, 1, 1])
    mean = math.fsum(map(math.prod, zip(columns, VALUES, strict=True)))
    table = joint_shares([0.25, 0.75], columns, VALUES, [mean, mean])
    assert table[0] == pytest.approx([0.25 * column for column in columns], rel=1e-4)


def test_a_row_with_a_larger_mean_has_more_in_the_later_columns() -> None:
    columns = shares([1] * 8)
    short, long = joint_shares([0.5, 0.5], columns, VALUES, [20, sum(VALUES) / 4 - 20])
    assert all(a > b for a, b in zip(list(accumulate(short))[:-1], list(accumulate(long))[:-1], strict=True))
