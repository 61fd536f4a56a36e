"""Packs examples into rows: best fit, the longest example first, so that nearly every row is full.

Examples of the same length are packed together, and only their number counts. So the time depends on how many different
lengths there are, and hardly on how many examples: ten million are packed in a few seconds.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from passingloop.data.examples.permutation import Indices

WIDTHS_PER_OCTAVE = 16
"""Widths of rows between a power of two and the next. Rows have few widths, so that compiled code and kernels meet few
shapes; filling a row up to the next width adds 3 % at most on average, and 6 % at most."""

FEW_ROWS = 64
"""Rows of a step whose width is fitted to its tokens. With more of them the last, which is not full, hardly matters."""

Pieces = tuple[tuple[int, int], ...]
"""What a row holds: a length, and how many examples of it, for each of its lengths."""


def next_width(tokens: int, multiple: int = 1) -> int:
    """The smallest width of a row for `tokens` that is a multiple of `multiple`."""
    step = -(-_spacing(tokens) // multiple) * multiple
    return -(-tokens // step) * step


def previous_width(tokens: int) -> int:
    """The largest width of a row for at most `tokens`."""
    return tokens // _spacing(tokens) * _spacing(tokens)


def _spacing(tokens: int) -> int:
    """The distance between the widths around `tokens`."""
    return max(1, (1 << (tokens - 1).bit_length()) // (2 * WIDTHS_PER_OCTAVE))


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples in rows."""

    members: Indices
    """The examples of all rows, one row after another."""
    starts: Indices
    """Where each row begins in `members`, and where the last one ends, shape (rows + 1,)."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, number: int) -> Indices:
        """The examples of a row."""
        return self.members[self.starts[number] : self.starts[number + 1]]


def best_fit(lengths: NDArray[np.int32], capacity: int) -> Rows:
    """Pack examples into rows of `capacity` tokens; a longer example has a row of its own.

    Args:
        lengths: tokens of each example, shape (n,), at least 1. Which examples of the same length share a row follows
            from their order here.
    """
    longest = int(lengths.max(initial=0))
    groups = _pack(np.bincount(lengths, minlength=1), max(capacity, longest))
    slots = [np.tile(np.repeat(*np.array(pieces).T), count) for count, pieces in groups]
    sizes = [np.full(count, sum(number for _, number in pieces)) for count, pieces in groups]
    members = np.empty(len(lengths), np.int64)
    if groups:
        # The examples of each length go to the places for that length, in their order.
        members[np.argsort(np.concatenate(slots), kind="stable")] = np.argsort(lengths, kind="stable")
    return Rows(members, np.concatenate([[0], np.cumsum(np.concatenate([[], *sizes]), dtype=np.int64)]))


def rows_of_step(lengths: NDArray[np.int32], row_tokens: int, processes: int = 1, multiple: int = 1) -> list[Indices]:
    """The rows of a step: for each the numbers of its examples, counted from 0 in `lengths`.

    Examples that were planned to share rows stand one after another, and stay together. Others are packed by best fit.
    Few rows are made as narrow as their number allows, and that is a multiple of the number of processes: a step of 9.3
    rows has 10 that are nearly full, not 9 full ones and a piece.
    """
    longest, tokens = int(lengths.max()), int(lengths.sum(dtype=np.int64))
    row_tokens = max(row_tokens, longest)
    rows = _fewest(lengths, row_tokens)
    if len(rows) > FEW_ROWS * processes:
        return rows
    count = -(-len(rows) // processes) * processes
    width = next_width(max(longest, -(-tokens // count)), multiple)
    while width < row_tokens:
        narrower = _fewest(lengths, width)
        if len(narrower) <= count:
            return narrower
        width = next_width(width + 1, multiple)
    return rows


def _fewest(lengths: NDArray[np.int32], capacity: int) -> list[Indices]:
    """Rows in the order of the examples, if best fit needs as many."""
    packed = best_fit(lengths, capacity)
    before = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    starts = [0]
    while starts[-1] < len(lengths) and len(starts) <= len(packed):
        starts.append(int(np.searchsorted(before, before[starts[-1]] + capacity, side="right")) - 1)
    if starts[-1] == len(lengths):
        return [np.arange(first, last) for first, last in pairwise(starts)]
    return [packed.row(number) for number in range(len(packed))]


def count_rows(counts: NDArray[np.int64], capacity: int) -> int:
    """The number of rows that `best_fit` needs for so many examples of each length, shape (longest + 1,)."""
    return sum(number for number, _ in _pack(counts, max(capacity, len(counts) - 1)))


def _pack(counts: NDArray[np.int64], capacity: int) -> list[tuple[int, Pieces]]:
    """How many rows there are of each kind, and what they hold.

    Best fit puts an example into the row with the least room that is enough. As long as it is enough for another one of
    the same length, that goes into the same row.
    """
    open_rows: dict[int, list[tuple[int, Pieces]]] = {}  # by room
    rooms: list[int] = []  # those of `open_rows`, rising

    def leave(room: int, number: int, pieces: Pieces) -> None:
        if number:
            if room not in open_rows:
                open_rows[room] = []
                insort(rooms, room)
            open_rows[room].append((number, pieces))

    for length in np.flatnonzero(counts)[::-1].tolist():
        left = int(counts[length])
        while left:
            place = bisect_left(rooms, length)
            if place < len(rooms):
                room = rooms[place]
                number, pieces = open_rows[room].pop()
                if not open_rows[room]:
                    del open_rows[room], rooms[place]
            else:
                room, pieces = capacity, ()
                number = -(-left // (room // length))
            each = min(left, room // length)
            filled = min(number, left // each)
            leave(room - each * length, filled, (*pieces, (length, each)))
            left -= filled * each
            if left and filled < number:  # fewer than would fit are left for one more row
                leave(room - left * length, 1, (*pieces, (length, left)))
                filled, left = filled + 1, 0
            leave(room, number - filled, pieces)
    return [group for groups in open_rows.values() for group in groups]
