"""CSV and TSV: a header line, quotes as in RFC 4180, and fields that are text whatever they look like."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from passingloop.data.files.csv_faults import LONGEST, BadRow, bad_rows, looks_like_data, structural_fault, wrong_width
from passingloop.data.files.errors import check_columns, not_utf8
from passingloop.data.files.formats import open_bytes
from passingloop.data.rows.batches import ROWS
from passingloop.data.rows.columns import Column
from passingloop.data.source import Reject
from passingloop.errors import DataError

BLOCK = LONGEST // 2
"""Bytes per block that is parsed. A row must end in the block after, and pyarrow reads 32 of them ahead."""

SHOWN = 40
"""Characters of a bad row in a message, where its line is not known."""


def read_csv(
    path: Path, delimiter: str, wanted: Sequence[Column], fields: list[pa.Field], reject: Reject
) -> Iterator[pa.RecordBatch]:
    """Batches of the wanted columns. A field with nothing in it, not even quotes, is null.

    A row with more or fewer fields than the header is given to `reject`.

    Raises:
        DataError: a column is missing, a quote is not closed, a row is too long, or the file is not UTF-8.
    """
    header = _header(path, delimiter)
    if header is None:
        return
    check_columns(path, wanted, header, looks_like_data(header))
    bad: deque[pacsv.InvalidRow] = deque()
    places = bad_rows(path, delimiter)  # reads the file anew, but only once there is such a row
    with _QuoteCounter(open_bytes(path)) as stream:
        try:
            for batch in _open(stream, delimiter, [column.name for column in wanted], bad):
                columns = [batch.column(column.name) for column in wanted]
                whole = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
                yield from (whole.slice(start, ROWS) for start in range(0, whole.num_rows, ROWS))
                # What an unclosed quote makes of the rest of the file is the last bad row, and another mistake.
                _reject(path, bad, places, reject, but=1)
        except pa.ArrowInvalid as problem:
            raise structural_fault(path, delimiter) or _unexplained(path, problem) from problem
        # An unclosed quote makes one field of the rest of the file; pyarrow does not mind.
        if stream.quotes % 2 and (fault := structural_fault(path, delimiter)):
            raise fault
    _reject(path, bad, places, reject)


def _reject(path: Path, bad: deque[pacsv.InvalidRow], places: Iterator[BadRow], reject: Reject, but: int = 0) -> None:
    """Tell of all rows in `bad` but the last few, and forget them."""
    while len(bad) > but:
        row = bad.popleft()
        place = next((place for place in places if place.fields == row.actual_columns), None)
        where = f"{path}, line {place.line}" if place else f"{path}, {row.text[:SHOWN]!r}"
        reject(DataError(f"{where}: {wrong_width(row.actual_columns, row.expected_columns)}"))


class _QuoteCounter(io.BufferedReader):
    """Counts the quotes that pass."""

    quotes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.quotes += data.count(b'"')
        return data


def _open(
    stream: io.BufferedReader, delimiter: str, names: list[str], bad: deque[pacsv.InvalidRow]
) -> pacsv.CSVStreamingReader:
    def keep(row: pacsv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    return pacsv.open_csv(
        stream,
        # Measured: threads take more memory and are no faster for a few columns of text.
        read_options=pacsv.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pacsv.ConvertOptions(
            include_columns=sorted(set(names)),
            column_types={name: pa.string() for name in names},
            # By default NA, null, nan and the like would be missing values.
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _header(path: Path, delimiter: str) -> list[str] | None:
    """The column names, or None if the file is empty."""
    try:
        with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as lines:
            return next((row for row in csv.reader(lines, delimiter=delimiter) if row), None)
    except csv.Error as problem:
        raise DataError(f"{path}, line 1: this is no header ({problem}). Is a quote not closed?") from problem
    except UnicodeDecodeError as problem:
        with open_bytes(path) as stream:
            raise not_utf8(path, stream) from problem


def _unexplained(path: Path, problem: pa.ArrowInvalid) -> DataError:
    if "straddl" in str(problem):
        return DataError(f"{path} has a row longer than {LONGEST >> 20} MiB. Use JSONL or Parquet for those.")
    return DataError(f"Cannot read {path}: {problem}.")
