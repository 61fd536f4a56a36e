"""At which lines the rows of a CSV file stand, and where it is wrong.

What is wrong is looked for slowly and exactly, and only once it is known that something is.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passingloop.data.files.errors import encoding_error
from passingloop.data.files.formats import open_bytes
from passingloop.errors import DataError

LONGEST = 4 << 20
"""Bytes per row. A quote that is still open after that many was forgotten, most likely."""

DELIMITERS = {
    "\t": "tabs: set data.format=tsv",
    ";": "semicolons: write it with commas, or as JSONL",
    "|": "bars: write it with commas, or as JSONL",
    ",": "commas: set data.format=csv",
}
"""Characters that stand between columns, and what to do where one was not expected."""


def row_widths(path: Path, delimiter: str) -> Iterator[tuple[int, int]]:
    """The line where each row begins, counted from 1, and how many fields it has. Blank lines are left out.

    Bytes that are not UTF-8, and fields of any length, are no faults here.
    """
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter)
        while block := _block_of_widths(rows):
            yield from ((line, width) for line, width in block if width)


def _block_of_widths(rows: Any, count: int = 4096) -> list[tuple[int, int]]:
    block: list[tuple[int, int]] = []
    with _field_limit(sys.maxsize):
        while len(block) < count:
            begins = rows.line_num + 1
            row = next(rows, None)
            if row is None:
                break
            block.append((begins, len(row)))
    return block


def structural_fault(path: Path, delimiter: str) -> DataError | None:
    """The error for the first place from where on the file cannot be read, or None if there is none."""
    try:
        fault = _first_break(_rows(path, delimiter, strict=True))
    except UnicodeDecodeError:
        with open_bytes(path) as stream:
            return encoding_error(path, stream)
    return None if fault is None else DataError(f"{path}, line {fault[0]}: {fault[1]}")


def width_fault(fields: int, width: int) -> str:
    """What is said of a row with so many fields, where the header has `width`."""
    return f"{fields} field{'s' * (fields > 1)}, but the header has {width}. A delimiter within a field needs quotes."


def looks_like_data(header: Sequence[str]) -> str:
    """A sentence if the first line seems to be no header, or one with another delimiter, else nothing."""
    for delimiter, what in DELIMITERS.items():
        if len(header) == 1 and delimiter in header[0]:
            return f" Its columns seem to be separated by {what}."
    if any(not name.strip() or len(name) > 40 or _is_number(name) for name in header):
        return " The first line looks like data: above it there must be a line with the names of the columns."
    return ""


def _first_break(rows: Iterable[tuple[int, list[str]]]) -> tuple[int, str] | None:
    """The line where the first row begins that cannot be read, and what is wrong with it."""
    width = 0
    try:
        for line, row in rows:
            width = width or len(row)
            if len(row) != width and sum(map(len, row)) + len(row) > LONGEST:
                return line, width_fault(len(row), width)
    except _Unreadable as problem:
        return problem.line, _explanation(problem.why)
    return None


class _Unreadable(Exception):
    """From this line on nothing can be read."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why


def _rows(path: Path, delimiter: str, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with the line where it begins.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
        _Unreadable: a field is too long or, if `strict`, a quote is not closed or stands where none may.
    """
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter, strict=strict)
        while True:
            begins = rows.line_num + 1
            try:
                with _field_limit(LONGEST):
                    row = next(rows, None)
            except csv.Error as problem:
                raise _Unreadable(begins, str(problem)) from problem
            if row is None:
                return
            yield begins, row


def _explanation(problem: str) -> str:
    if "field limit" in problem:
        return (
            f"a field that begins here is longer than {LONGEST:,} characters. Is its quote not closed? If it "
            "really is that long, use JSONL or Parquet."
        )
    if "end of data" in problem:
        return "a quote that is opened here is not closed. A quote inside a quoted field must be doubled."
    return f"{problem}. A quote inside a quoted field must be doubled."


@contextmanager
def _field_limit(characters: int) -> Iterator[None]:
    before = csv.field_size_limit(characters)  # one for the whole process, hence put back
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
