"""Where the rows of a part come from: the line of a file, or the row of a Parquet file, query or split."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from passingloop.text import list_excerpt

FILE_NAME = "pieces.json"
"""A file beside the tokens of a part: a list of pieces, each a list of the fields of `Piece`."""

MAX_LISTED_NUMBERS = 8
"""Numbers of one piece that a sentence lists."""


class Place(NamedTuple):
    """The place of one row, for people."""

    name: str
    unit: str
    number: int

    def __str__(self) -> str:
        return describe_places([self])


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, query or split, of which a part of the data consists."""

    first: int
    """The number of its first row in the part."""
    name: str
    """Path, URL, query or split, as in messages."""
    unit: str
    """What is counted in it: `line`, or `row` if it has no lines."""
    start: int
    """The number of its first row in it. Lines are counted from 1, rows from 0, as data frames do."""


class Pieces:
    """The pieces of a part in their order, by which a row's place is found."""

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._pieces = list(pieces)
        self._end = 0

    def begin(self, name: str, unit: str = "row", start: int = 0) -> int:
        """Add a piece; returns the number of its first row in the part."""
        self._pieces.append(Piece(self._end, name, unit, start))
        return self._end

    def extend(self, end: int) -> None:
        """Extend the last piece to before row `end` of the part."""
        self._end = end

    def place(self, row: int) -> Place:
        """The place of a row of the part."""
        piece = self._pieces[bisect_right(self._pieces, row, key=lambda piece: piece.first) - 1]
        return Place(piece.name, piece.unit, piece.start + row - piece.first)

    def write(self, folder: Path) -> None:
        """Write the pieces into the folder of the part's tokens."""
        pieces = [astuple(piece) for piece in self._pieces]
        (folder / FILE_NAME).write_text(json.dumps(pieces, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Pieces:
        """Read what `write` wrote. For tokens of earlier versions, without pieces, the whole part is one piece."""
        if not (folder / FILE_NAME).exists():
            return cls([Piece(0, f"{folder.name} data", "row", 0)])
        return cls(Piece(*piece) for piece in json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))


def describe_places(places: Iterable[tuple[str, str, int]]) -> str:
    """The places as text, such as ``a.csv, lines 3, 9; b.parquet, row 0 (from 0)``."""
    by_piece = groupby(sorted(set(places)), key=lambda place: place[:2])
    return "; ".join(
        _describe_piece(piece[0], piece[1], [number for _, _, number in group]) for piece, group in by_piece
    )


def _describe_piece(name: str, unit: str, numbers: Sequence[int]) -> str:
    listed = list_excerpt(numbers, MAX_LISTED_NUMBERS)
    base = " (from 0)" if unit == "row" else ""
    return f"{name}, {unit}{'s' * (len(numbers) > 1)} {listed}{base}"
