"""The rows of a result, batch by batch, by way of pyodbc alone: any driver, any type."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import pyarrow as pa

from passingloop.data.sql.types import array_of

ROWS = 2000
"""Rows at a time. More are no faster, and take more memory (measured)."""


def read_rows(cursor: Any, schema: pa.Schema, setting: str) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`.

    Raises:
        pyodbc.Error: the database says no, or nothing more.
        DataError: a value does not fit its column.
    """
    row = 0
    # One column after the other: zip(*rows) makes as many iterators as there are rows, four times slower.
    columns = [itemgetter(number) for number in range(len(schema))]
    while rows := cursor.fetchmany(ROWS):
        arrays = [
            array_of(list(map(column, rows)), field, setting, row)
            for column, field in zip(columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        row += len(rows)
