"""Examples, one at a time, become record batches that are small however long a text is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

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


def _batch(rows: list[Values], fields: list[pa.Field]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), fields, strict=True)
    arrays = [pa.array(values, field.type) for values, field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
