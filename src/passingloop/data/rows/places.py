"""Where rows come from: which line of which file, or which row of which Parquet file, query or split."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

NAME = "pieces.json"
"""Stands beside the tokens of a part: a list of pieces, each with what `Piece` has, in that order."""

SHOWN = 8
"""How many numbers of one piece a sentence lists."""


class Place(NamedTuple):
    """One row, as a person finds it."""

    name: str
    unit: str
    number: int

    def __str__(self) -> str:
        return describe_places([self])


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, query or split: one of those that a part of the data consists of."""

    first: int
    """The number that its first row has in the part."""
    name: str
    """Path, URL, query or split, as in messages."""
    unit: str
    """What is counted in it: `line`, or for what has no lines `row`."""
    start: int
    """The number that its first row has in it: lines are counted from 1, rows from 0, as data frames do."""


class Pieces:
    """The pieces of a part in their order, and which row belongs to which."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces = list(pieces)
        self._end = 0

    def begin(self, name: str, unit: str = "row", start: int = 0) -> int:
        """A further piece; returns the number that its first row has in the part."""
        self._pieces.append(Piece(self._end, name, unit, start))
        return self._end

    def extend(self, end: int) -> None:
        """The last piece reaches to before the row `end` of the part."""
        self._end = end

    def place(self, row: int) -> Place:
        """Where the row of the part comes from."""
        piece = self._pieces[bisect_right(self._pieces, row, key=lambda piece: piece.first) - 1]
        return Place(piece.name, piece.unit, piece.start + row - piece.first)

    def write(self, folder: Path) -> None:
        """Into the folder of the part's tokens."""
        pieces = [astuple(piece) for piece in self._pieces]
        (folder / NAME).write_text(json.dumps(pieces, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Pieces:
        """What `write` wrote. Tokens of earlier versions tell no pieces: the part as a whole is one."""
        if not (folder / NAME).exists():
            return cls([Piece(0, f"{folder.name} data", "row", 0)])
        return cls(Piece(*piece) for piece in json.loads((folder / NAME).read_text(encoding="utf-8")))


def describe_places(places: Iterable[tuple[str, str, int]]) -> str:
    """Such as ``a.csv, lines 3, 9; b.parquet, row 0 (from 0)``."""
    by_piece = groupby(sorted(set(places)), key=lambda place: place[:2])
    return "; ".join(
        _describe_piece(piece[0], piece[1], [number for _, _, number in group]) for piece, group in by_piece
    )


def _describe_piece(name: str, unit: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    base = " (from 0)" if unit == "row" else ""
    return f"{name}, {unit}{'s' * (len(numbers) > 1)} {shown}{more}{base}"
