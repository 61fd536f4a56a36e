"""A digest of rows does not depend on batches."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.data.sql.digest import RowsDigest

SCHEMA = pa.schema([("t", pa.string()), ("i", pa.int64()), ("b", pa.bool_()), ("d", pa.decimal256(76, 38))])
ROWS = st.lists(st.tuples(st.none() | st.text(max_size=3), st.none() | st.integers(-9, 9), st.none() | st.booleans()))


def digest(rows: list[tuple[object, ...]], size: int) -> str:
    found = RowsDigest(SCHEMA)
    for at in range(0, len(rows), size):
        columns = zip(*rows[at : at + size], strict=True)
        arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types[:3], strict=True)]
        found.add(pa.RecordBatch.from_arrays([*arrays, pa.nulls(len(arrays[0]), SCHEMA.types[3])], schema=SCHEMA))
    return found.hexdigest()


@settings(deadline=None)  # the first call is slow
@given(ROWS, st.integers(1, 5))
def test_a_digest_does_not_depend_on_batches(rows: list[tuple[object, ...]], size: int) -> None:
    assert digest(rows, size) == digest(rows, len(rows) + 1)


@settings(deadline=None)
@given(ROWS, ROWS)
def test_other_rows_have_another_digest(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> None:
    assert (digest(one, 2) == digest(other, 2)) == (one == other)
