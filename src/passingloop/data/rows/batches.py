"""Record batches of examples: small however long a text is, their rows numbered over all pieces of a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passingloop.data.rows.places import Pieces

ROWS = 4096
"""Most examples per batch."""

SIZE = 4 << 20
"""Most bytes or characters per batch, give or take one example."""


Values = tuple[object, ...]


def gather(examples: Iterable[tuple[int, Values]], fields: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    """Batches with `fields` from (size, values) pairs."""
    held: list[Values] = []
    size = 0
    for length, values in examples:
        held.append(values)
        size += length
        if len(held) == ROWS or size >= SIZE:
            yield _batch(held, fields)
            held, size = [], 0
    if held:
        yield _batch(held, fields)


def number_rows(
    batches: Iterable[pa.RecordBatch], pieces: Pieces, name: str, unit: str = "row", start: int = 0
) -> Iterator[pa.RecordBatch]:
    """`batches`, whose first column counts the rows of the next piece from 0, with the numbers of the part instead.

    Args:
        name, unit, start: of the piece, as `Piece` has them.
    """
    first = pieces.begin(name, unit, start)
    for batch in batches:
        rows = row_values(batch) + first
        if len(rows):
            pieces.extend(int(rows[-1]) + 1)
        yield batch.set_column(0, batch.schema.field(0), row_column(rows))


def row_column(rows: NDArray[np.int64]) -> pa.Array:
    """From their buffer, as `pa.array` imports pandas for an array of NumPy: 0.3 s and 48 MB (measured)."""
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def row_values(batch: pa.RecordBatch) -> NDArray[Any]:
    """The first column, which has no nulls, shape (rows,)."""
    column = batch.column(0)
    return np.frombuffer(column.buffers()[1], np.int64, len(column), column.offset * 8)


def _batch(rows: list[Values], fields: list[pa.Field]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), fields, strict=True)
    arrays = [pa.array(values, field.type) for values, field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
