"""Where a CSV file is wrong. Slow and exact: only used once it is known that something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from passingloop.data.file_errors import not_utf8
from passingloop.data.file_formats import open_bytes
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


def first_fault(path: Path, delimiter: str) -> DataError | None:
    """The error for the first row that breaks the rules, or None if all keep them."""
    try:
        with _long_fields(), io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as lines:
            fault = _first_bad_row(lines, delimiter)
    except UnicodeDecodeError:
        with open_bytes(path) as stream:
            return not_utf8(path, stream)
    return None if fault is None else DataError(f"{path}, line {fault[0]}: {fault[1]}")


def looks_like_data(header: Sequence[str]) -> str:
    """A sentence if the first line seems to be no header, or one with another delimiter, else nothing."""
    for delimiter, what in DELIMITERS.items():
        if len(header) == 1 and delimiter in header[0]:
            return f" Its columns seem to be separated by {what}."
    if any(not name.strip() or len(name) > 40 or _is_number(name) for name in header):
        return " The first line looks like data: above it there must be a line with the names of the columns."
    return ""


def _first_bad_row(lines: Iterable[str], delimiter: str) -> tuple[int, str] | None:
    """The line where the first bad row begins, and what is wrong with it."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    width = 0
    while True:
        begins = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as problem:
            return begins, _in_words(str(problem))
        if row is None:
            return None
        width = width or len(row)
        if row and len(row) != width:
            return begins, (
                f"{len(row)} field{'s' * (len(row) > 1)}, but the header has {width}. "
                "A delimiter within a field needs quotes."
            )


def _in_words(problem: str) -> str:
    if "field limit" in problem:
        return (
            f"a field that begins here is longer than {LONGEST:,} characters. Is its quote not closed? If it "
            "really is that long, use JSONL or Parquet."
        )
    if "end of data" in problem:
        return "a quote that is opened here is not closed. A quote inside a quoted field must be doubled."
    return f"{problem}. A quote inside a quoted field must be doubled."


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST)  # one for the whole process, hence put back
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
