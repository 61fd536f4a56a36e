"""Checks the columns of a file from its first bytes, or of a Parquet file from its last."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.config.data import FormattedData
from passingloop.data.files.csv_faults import Dialect, dialect_of, looks_like_data
from passingloop.data.files.errors import check_columns, read_errors
from passingloop.data.files.formats import Format, decompressed_stream
from passingloop.data.files.parquet import check_type
from passingloop.data.rows.columns import Column

HEADER_BYTES = 1 << 20
"""Bytes that contain a header line, a first line, or the footer of most Parquet files."""


def footer_length(tail: bytes) -> int:
    """The length in bytes of a Parquet file's footer, which has the schema, from its last eight bytes.

    Source: https://parquet.apache.org/docs/file-format/
    """
    return int.from_bytes(tail[-8:-4], "little") + 8


def check_header(
    path: Path, content: bytes, file_format: Format, wanted: Sequence[Column], config: FormattedData
) -> None:
    """Check that every wanted column is in the header. Rows are checked when the file is read.

    Args:
        path: the name of the file for messages; the file need not exist.
        content: the last bytes of a Parquet file, or the first bytes of another file, as stored.

    Raises:
        DataError: a column is missing, or the file has another format.
    """
    with read_errors(path):
        if file_format == "parquet":
            schema = pq.read_schema(pa.BufferReader(content))
            check_columns(path, wanted, schema.names)
            for column in wanted:
                check_type(path, column, schema.field(column.name).type)
            return
        with suppress(OSError):  # the compressed stream is incomplete
            stream = decompressed_stream(path, io.BufferedReader(io.BytesIO(content)), 1 << 13)
            if file_format in ("csv", "tsv"):
                _check_csv_header(path, stream, dialect_of(config, file_format), wanted)
            elif file_format == "jsonl":
                _check_first_line(path, stream, wanted)


def _check_csv_header(path: Path, stream: io.BufferedReader, dialect: Dialect, wanted: Sequence[Column]) -> None:
    # Invalid UTF-8 is reported with its line when the file is read.
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    with suppress(csv.Error):
        header = next((row for row in dialect.rows(lines) if row), None)
        if header is not None:
            check_columns(path, wanted, header, looks_like_data(header))


def _check_first_line(path: Path, stream: io.BufferedReader, wanted: Sequence[Column]) -> None:
    with suppress(ValueError, RecursionError):
        row = json.loads(next((line for line in stream if line.strip()), b"").decode("utf-8-sig"))
        if isinstance(row, dict):
            check_columns(path, wanted, list(row))
