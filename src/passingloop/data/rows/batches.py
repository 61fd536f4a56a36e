"""Record batches of examples: limited in size, with rows that are numbered over all pieces of a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passingloop.data.rows.places import Pieces

MAX_ROWS = 4096
"""Examples per batch at most."""

MAX_SIZE = 4 << 20
"""Bytes or characters per batch at most, except that the last example may exceed it."""


Values = tuple[object, ...]


def gather_batches(examples: Iterable[tuple[int, Values]], fields: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    """Batches with `fields`, from pairs of an example's size and its values."""
    rows: list[Values] = []
    size = 0
    for length, values in examples:
        rows.append(values)
        size += length
        if len(rows) == MAX_ROWS or size >= MAX_SIZE:
            yield _batch(rows, fields)
            rows, size = [], 0
    if rows:
        yield _batch(rows, fields)


def number_rows(
    batches: Iterable[pa.RecordBatch], pieces: Pieces, name: str, unit: str = "row", start: int = 0
) -> Iterator[pa.RecordBatch]:
    """`batches` of a new piece, with row numbers that count over the whole part instead of the piece.

    Args:
        batches: their first column counts the rows of the piece from 0.
        name, unit, start: fields of the new `Piece`.
    """
    first = pieces.begin(name, unit, start)
    for batch in batches:
        rows = row_values(batch) + first
        if len(rows):
            pieces.extend(int(rows[-1]) + 1)
        yield batch.set_column(0, batch.schema.field(0), row_column(rows))


def row_column(rows: NDArray[np.int64]) -> pa.Array:
    """The row numbers as an Arrow array, made from their buffer, as `pa.array` would import pandas: 0.3 s and 48 MB."""
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def row_values(batch: pa.RecordBatch) -> NDArray[Any]:
    """The first column of `batch`, the row numbers, shape (rows,)."""
    column = batch.column(0)
    return np.frombuffer(column.buffers()[1], np.int64, len(column), column.offset * 8)


def _batch(rows: list[Values], fields: list[pa.Field]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), fields, strict=True)
    arrays = [pa.array(values, field.type) for values, field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
