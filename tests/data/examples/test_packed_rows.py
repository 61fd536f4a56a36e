"""Rows are nearly full, whatever the lengths are, and there are few widths of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.examples import packed_rows
from passingloop.data.examples.packed_rows import best_fit, count_rows, next_width, previous_width, rows_of_step

Lengths = st.lists(st.integers(1, 64), min_size=1, max_size=120).map(lambda some: np.array(some, np.int32))


def texts(count: int, capacity: int, mean: float = 150) -> np.ndarray:
    """Lengths as texts have them."""
    drawn = np.random.default_rng(0).lognormal(np.log(mean), 0.8, count)
    return np.clip(drawn, 1, capacity).astype(np.int32)


def best_fit_one_by_one(lengths: np.ndarray, capacity: int) -> list[int]:
    """The tokens of rows by the definition: each example, the longest first, into the fullest row that has room."""
    rows: list[int] = []
    for length in sorted(lengths.tolist(), reverse=True):
        fitting = [row for row in rows if row + length <= capacity]
        if fitting:
            rows[rows.index(max(fitting))] += length
        else:
            rows.append(length)
    return rows


@settings(max_examples=80, deadline=None)
@given(Lengths, st.integers(1, 100))
def test_best_fit_is_that_of_the_definition(lengths: np.ndarray, capacity: int) -> None:
    rows = best_fit(lengths, capacity)
    assert sorted(rows.members.tolist()) == list(range(len(lengths)))
    found = [int(lengths[rows.row(number)].sum()) for number in range(len(rows))]
    assert sorted(found) == sorted(best_fit_one_by_one(lengths, max(capacity, int(lengths.max()))))
    assert count_rows(np.bincount(lengths), capacity) == len(rows)


@pytest.mark.parametrize(("count", "capacity"), [(2_000, 512), (20_000, 1024), (20_000, 4096)])
def test_rows_of_texts_are_98_percent_full(count: int, capacity: int) -> None:
    lengths = texts(count, capacity)
    assert lengths.sum() / (len(best_fit(lengths, capacity)) * capacity) > 0.98


def test_the_work_is_that_of_the_lengths_not_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by the rows that are looked for: hardly more for a thousand times as many examples."""
    looked_for = []

    def counted(rooms: list[int], length: int) -> int:
        looked_for.append(length)
        return bisect_left(rooms, length)

    bisect_left = packed_rows.bisect_left
    monkeypatch.setattr(packed_rows, "bisect_left", counted)
    work = []
    for times in (1, 1000):
        looked_for.clear()
        count_rows(np.bincount(texts(5_000, 1024)) * times, 1024)
        work.append(len(looked_for))
    assert work[1] < 3 * work[0]


@settings(max_examples=80, deadline=None)
@given(Lengths, st.integers(1, 100), st.integers(1, 5), st.sampled_from([1, 8]))
def test_rows_of_a_step_hold_every_example_once(
    lengths: np.ndarray, row_tokens: int, processes: int, multiple: int
) -> None:
    rows = rows_of_step(lengths, row_tokens, processes, multiple)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))
    assert max(int(lengths[row].sum()) for row in rows) <= max(row_tokens, int(lengths.max()))


def test_what_was_planned_to_share_rows_does() -> None:
    lengths = np.array([30, 70, 50, 50, 100, 20, 20, 60], np.int32)
    assert [row.tolist() for row in rows_of_step(lengths, 100)] == [[0, 1], [2, 3], [4], [5, 6, 7]]


def test_processes_have_as_many_rows_and_tokens() -> None:
    lengths = texts(40, 512)
    for processes in (2, 4):
        rows = rows_of_step(lengths, 1024, processes)
        shares = [sum(int(lengths[row].sum()) for row in rows[rank::processes]) for rank in range(processes)]
        assert len(rows) % processes == 0
        assert max(shares) < 1.15 * lengths.sum() / processes


def test_few_rows_are_as_narrow_as_their_number_allows() -> None:
    """A quarter of a row more than two whole ones: three rows of three quarters, not two full ones and a quarter."""
    lengths = np.full(228, 10, np.int32)
    rows = rows_of_step(lengths, 1000)
    assert [int(lengths[row].sum()) for row in rows] == [760, 760, 760]


def test_there_are_few_widths() -> None:
    widths = sorted({next_width(tokens) for tokens in range(1, 4097)})
    assert len(widths) < 150
    assert all(next_width(tokens) - tokens <= tokens / 16 for tokens in range(1, 4097))
    assert all(previous_width(tokens) in widths and previous_width(tokens) <= tokens for tokens in range(1, 4097))
    assert all(next_width(tokens, 8) % 8 == 0 and next_width(tokens, 8) >= tokens for tokens in range(1, 4097))
