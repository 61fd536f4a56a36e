"""The lines of the rows of a CSV file, and the location of faults in it.

The functions are exact and slow. Faults are searched only after a file was found to have some.
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

MAX_ROW_BYTES = 4 << 20
"""Longest row in bytes. A quoted field that is longer probably lacks its closing quote."""

DELIMITERS = {
    "\t": "tabs: set data.format=tsv",
    ";": "semicolons: write it with commas, or as JSONL",
    "|": "bars: write it with commas, or as JSONL",
    ",": "commas: set data.format=csv",
}
"""Characters that separate columns, and what to do if a file has another one than expected."""


def row_widths(path: Path, delimiter: str) -> Iterator[tuple[int, int]]:
    """The line where each row starts, counted from 1, and its number of fields. Blank lines are left out.

    Invalid UTF-8 and fields of any length are accepted here.
    """
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter)
        while block := _block_of_widths(rows):
            yield from ((line, width) for line, width in block if width)


def _block_of_widths(rows: Any, count: int = 4096) -> list[tuple[int, int]]:
    block: list[tuple[int, int]] = []
    with _field_limit(sys.maxsize):
        while len(block) < count:
            start_line = rows.line_num + 1
            row = next(rows, None)
            if row is None:
                break
            block.append((start_line, len(row)))
    return block


def structural_fault(path: Path, delimiter: str) -> DataError | None:
    """The error for the first row that cannot be parsed; None if all can."""
    try:
        fault = _first_fault(_numbered_rows(path, delimiter, strict=True))
    except UnicodeDecodeError:
        with open_bytes(path) as stream:
            return encoding_error(path, stream)
    return None if fault is None else DataError(f"{path}, line {fault[0]}: {fault[1]}")


def width_fault(fields: int, width: int) -> str:
    """The message for a row with `fields` fields, where the header has `width`."""
    return f"{fields} field{'s' * (fields > 1)}, but the header has {width}. A delimiter within a field needs quotes."


def looks_like_data(header: Sequence[str]) -> str:
    """A sentence if the first line seems to be data, or a header with another delimiter; else empty."""
    for delimiter, advice in DELIMITERS.items():
        if len(header) == 1 and delimiter in header[0]:
            return f" Its columns seem to be separated by {advice}."
    if any(not name.strip() or len(name) > 40 or _is_number(name) for name in header):
        return " The first line looks like data: above it there must be a line with the names of the columns."
    return ""


def _first_fault(rows: Iterable[tuple[int, list[str]]]) -> tuple[int, str] | None:
    """The line of the first row that cannot be parsed, and what is wrong with it; None if all can."""
    width = 0
    try:
        for line, row in rows:
            width = width or len(row)
            if len(row) != width and sum(map(len, row)) + len(row) > MAX_ROW_BYTES:
                return line, width_fault(len(row), width)
    except _Unreadable as problem:
        return problem.line, _explanation(problem.why)
    return None


class _Unreadable(Exception):
    """A row starting at `line` cannot be parsed, nor anything after it."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why


def _numbered_rows(path: Path, delimiter: str, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with the line where it starts, counted from 1.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
        _Unreadable: a field is too long or, if `strict`, a quote is not closed or misplaced.
    """
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter, strict=strict)
        while True:
            start_line = rows.line_num + 1
            try:
                with _field_limit(MAX_ROW_BYTES):
                    row = next(rows, None)
            except csv.Error as problem:
                raise _Unreadable(start_line, str(problem)) from problem
            if row is None:
                return
            yield start_line, row


def _explanation(problem: str) -> str:
    if "field limit" in problem:
        return (
            f"a field that begins here is longer than {MAX_ROW_BYTES:,} characters. Is its quote not closed? If it "
            "really is that long, use JSONL or Parquet."
        )
    if "end of data" in problem:
        return "a quote that is opened here is not closed. A quote inside a quoted field must be doubled."
    return f"{problem}. A quote inside a quoted field must be doubled."


@contextmanager
def _field_limit(characters: int) -> Iterator[None]:
    before = csv.field_size_limit(characters)  # a setting of the whole process, so it is restored
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
