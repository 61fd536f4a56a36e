"""The lines of the rows of a CSV file, and the location of faults in it.

The functions are exact and slow. Faults are searched only after a file was found to have some.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from passingloop.config.data import FormattedData
from passingloop.data.files.errors import encoding_error
from passingloop.data.files.formats import open_bytes
from passingloop.errors import DataError

MAX_ROW_BYTES = 4 << 20
"""Longest row in bytes. A quoted field that is longer probably lacks its closing quote."""

ADVICE = (
    "A quote inside a quoted field must be doubled. If a backslash before a quote makes it part of the field, set "
    "'data.csv_escape=\\'; if quotes are text like any in this file, set data.csv_quote=null."
)
"""What to do about a quote in the wrong place."""

DELIMITERS = {
    "\t": "tabs: set data.format=tsv",
    ";": "semicolons: write it with commas, or as JSONL",
    "|": "bars: write it with commas, or as JSONL",
    ",": "commas: set data.format=csv",
}
"""Characters that separate columns, and what to do if a file has another one than expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """The characters with a meaning in a CSV file."""

    delimiter: str
    quote: str | None = '"'
    """Encloses fields; within a field it is doubled. None: no character does."""
    escape: str | None = None
    """Takes away the meaning of the next character."""

    def rows(self, lines: Iterable[str], *, strict: bool = False, skip_blanks: bool = False) -> Any:
        """A reader of Python's csv module."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
            strict=strict,
            skipinitialspace=skip_blanks,
        )


def dialect_of(config: FormattedData, kind: Literal["csv", "tsv"]) -> Dialect:
    """The dialect of the files of one format."""
    return Dialect(delimiter="," if kind == "csv" else "\t", quote=config.csv_quote, escape=config.csv_escape)


class RowForm(NamedTuple):
    """Where a row is, and how many fields it has."""

    line: int
    """Where it starts, counted from 1."""
    fields: int
    fault: str | None = None
    """What is wrong with its quotes."""
    fatal: bool = False
    """Whether it cannot be told where the row ends, such as with a quote that is not closed."""


def row_forms(path: Path, dialect: Dialect) -> Iterator[RowForm]:
    """The rows of a file, without blank lines. Invalid UTF-8 and fields of any length are accepted here."""
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="replace", newline="") as text:
        rows = iter(_Rows(text, dialect))
        while block := _next_block(rows):
            yield from (form for _, form in block if form.fields)


def _next_block(rows: Iterator[tuple[list[str], RowForm]]) -> list[tuple[list[str], RowForm]]:
    with _field_limit(sys.maxsize):
        return list(islice(rows, 4096))


class _Rows:
    """The rows of a file with their forms. Rows with a fault are read as pyarrow does, which goes on with them."""

    def __init__(self, text: Iterable[str], dialect: Dialect) -> None:
        self._dialect = dialect
        self._text = text
        self.line = 1
        """Where the current row starts."""
        self._row_text: list[str] = []
        """The lines of the current row."""
        self._has_blank = False
        """Whether they have a blank between a delimiter and a quote."""

    def __iter__(self) -> Iterator[tuple[list[str], RowForm]]:
        """
        Raises:
            csv.Error: a field is longer than the limit.
        """
        lines = self._recorded_lines()
        strict = self._dialect.rows(lines, strict=True)
        while True:
            self.line += len(self._row_text)
            self._row_text.clear()
            self._has_blank = False
            try:
                row = next(strict, None)
            except csv.Error as problem:
                if "field limit" in str(problem):
                    raise
                yield self._faulty_row(lines)
                continue
            if row is None:
                return
            fault = _blank_fault(row, self._row_text, self._dialect) if self._has_blank else None
            yield row, RowForm(self.line, len(row), fault)

    def _recorded_lines(self) -> Iterator[str]:
        blank = f"{self._dialect.delimiter} {self._dialect.quote}"
        for line in self._text:
            self._row_text.append(line)
            self._has_blank |= blank in line
            yield line

    def _faulty_row(self, lines: Iterator[str]) -> tuple[list[str], RowForm]:
        dialect = self._dialect
        row = next(dialect.rows(chain(self._row_text.copy(), lines)))
        # A reader takes a line after the row only if a quote of the row is still open.
        if len(list(dialect.rows([*self._row_text, "end"]))) == 1:
            return row, RowForm(self.line, len(row), f"a quote that is opened here is not closed. {ADVICE}", fatal=True)
        # pyarrow and csv disagree about what an escape after a closing quote does.
        fatal = dialect.escape is not None and any(
            f"{dialect.quote}{dialect.escape}" in part for part in self._row_text
        )
        return row, RowForm(self.line, len(row), f"text follows a closing quote. {ADVICE}", fatal)


def _blank_fault(row: list[str], text: list[str], dialect: Dialect) -> str | None:
    """What is wrong with a row if there are blanks before its quotes, so that these enclose nothing."""
    with suppress(csv.Error):
        fields = next(dialect.rows(text, strict=True, skip_blanks=True))
        if len(fields) != len(row) or any(
            other not in (field, field.lstrip(" ")) for other, field in zip(fields, row, strict=True)
        ):
            return "a blank stands before an opening quote, which is then part of the field. Remove the blank."
    return None


def structural_fault(path: Path, dialect: Dialect) -> DataError | None:
    """The error for the first row that cannot be parsed, nor anything after it; None if there is none."""
    width = 0
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as text, _field_limit(MAX_ROW_BYTES):
        rows = _Rows(text, dialect)
        try:
            for row, form in rows:
                width = width or form.fields
                if form.fatal:
                    return row_error(path, form)
                if form.fields != width and sum(map(len, row)) + len(row) > MAX_ROW_BYTES:
                    return row_error(path, form._replace(fault=width_fault(form.fields, width)))
        except csv.Error:
            return DataError(
                f"{path}, line {rows.line}: a field that begins here is longer than {MAX_ROW_BYTES:,} characters. Is "
                "its quote not closed? If it really is that long, use JSONL or Parquet."
            )
        except UnicodeDecodeError:
            with open_bytes(path) as stream:
                return encoding_error(path, stream)
    return None


def row_error(path: Path, row: RowForm) -> DataError:
    """The error for the fault of a row."""
    return DataError(f"{path}, line {row.line}: {row.fault}")


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
