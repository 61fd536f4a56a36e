"""The columns of a file whose ends are at hand only: the first bytes, or of Parquet the last."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.files.csv_faults import looks_like_data
from passingloop.data.files.errors import check_columns, read_errors
from passingloop.data.files.formats import Format, decompressed_stream
from passingloop.data.files.parquet import check_type
from passingloop.data.rows.columns import Column

HEADER_BYTES = 1 << 20
"""Bytes at either end that hold a header line, a first line, or most files' Parquet footer."""


def footer_length(tail: bytes) -> int:
    """Bytes at the end of a Parquet file that hold its schema, from its last eight.

    Source: https://parquet.apache.org/docs/file-format/
    """
    return int.from_bytes(tail[-8:-4], "little") + 8


def check_header(path: Path, end: bytes, file_format: Format, wanted: Sequence[Column]) -> None:
    """Every wanted column is there. What only reading can tell, such as a bad row, is left to reading.

    Args:
        path: the name of the file, which need not be there.
        end: the last bytes of a Parquet file, the first ones of any other, compressed as they are.

    Raises:
        DataError: a column is missing, or the format is another.
    """
    with read_errors(path):
        if file_format == "parquet":
            schema = pq.read_schema(pa.BufferReader(end))
            check_columns(path, wanted, schema.names)
            for column in wanted:
                check_type(path, column, schema.field(column.name).type)
            return
        with suppress(OSError):  # a compressed stream that goes on after these bytes
            stream = decompressed_stream(path, io.BufferedReader(io.BytesIO(end)), 1 << 13)
            if file_format in ("csv", "tsv"):
                _check_csv_header(path, stream, "," if file_format == "csv" else "\t", wanted)
            elif file_format == "jsonl":
                _check_first_line(path, stream, wanted)


def _check_csv_header(path: Path, stream: io.BufferedReader, delimiter: str, wanted: Sequence[Column]) -> None:
    # What is not UTF-8 is named with its line by who reads it.
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    with suppress(csv.Error):
        header = next((row for row in csv.reader(lines, delimiter=delimiter) if row), None)
        if header is not None:
            check_columns(path, wanted, header, looks_like_data(header))


def _check_first_line(path: Path, stream: io.BufferedReader, wanted: Sequence[Column]) -> None:
    with suppress(ValueError, RecursionError):
        row = json.loads(next((line for line in stream if line.strip()), b"").decode("utf-8-sig"))
        if isinstance(row, dict):
            check_columns(path, wanted, list(row))
