"""Converts the typed rows of a snapshot to examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.files.errors import check_columns
from passingloop.data.rows.batches import MAX_ROWS, MAX_SIZE, row_column
from passingloop.data.rows.chats import chat_text, columns_beside
from passingloop.data.rows.columns import Column
from passingloop.data.rows.places import Place
from passingloop.data.source import Reject
from passingloop.data.sql.snapshot import Snapshot
from passingloop.data.sql.types import WIDE
from passingloop.errors import DataError


def check_column_types(schema: pa.Schema, wanted: Sequence[Column], setting: str) -> None:
    """Check that every wanted column exists once, and has a type that can be used for its setting.

    Raises:
        DataError: one does not.
    """
    check_columns(setting, wanted, schema.names)
    for column in wanted:
        data_type = schema.field(column.name).type
        fits, expected = {
            "text": (pa.types.is_string(data_type), "text"),
            "label": (_can_be_label(data_type), "text, whole numbers, true or false, or decimals"),
            "labels": (False, "text, with data.label_separator"),
            "number": (_can_be_number(data_type), "numbers, or text"),
            "messages": (pa.types.is_string(data_type), "text: JSON, a list of messages with role and content"),
        }[column.field]
        if not fits:
            raise DataError(
                f"You set {column.setting}, but in {setting} that column has the type {data_type}. It must be "
                f"{expected}: cast it in a query."
            )


def example_batches(
    snapshot: Snapshot, wanted: Sequence[Column], fields: list[pa.Field], setting: str, reject: Reject
) -> Iterator[pa.RecordBatch]:
    """Batches with `fields`; the first one is the number of the row in the query, from 0.

    A chat that cannot be parsed is passed to `reject`, and left out.
    """
    names = snapshot.schema.names
    stored_names = pq.read_schema(snapshot.rows).names
    columns = [stored_names[names.index(column.name)] for column in wanted]
    is_chat = wanted[0].field == "messages"
    beside = columns_beside(wanted, stored_names)
    with pq.ParquetFile(snapshot.rows, buffer_size=1 << 20, pre_buffer=False) as file:
        size = snapshot.facts["bytes"] // max(1, snapshot.facts["rows"])
        rows_per_batch = max(1, min(MAX_ROWS, MAX_SIZE // max(1, size)))
        row = 0
        # Threads are not faster for two columns, and take 50 MB more (measured).
        for batch in file.iter_batches(rows_per_batch, columns=sorted({*columns, *beside}), use_threads=False):
            arrays = [batch.column(name) for name in columns]
            numbers = row_column(np.arange(row, row + batch.num_rows))
            row += batch.num_rows
            if is_chat:
                yield _chats(numbers, arrays[0], batch.select(beside), wanted[0], fields, setting, reject)
            else:
                texts = [array if pa.types.is_string(array.type) else _to_text(array) for array in arrays]
                yield pa.RecordBatch.from_arrays([numbers, *texts], schema=pa.schema(fields))


def _chats(
    numbers: pa.Array,
    texts: pa.Array,
    beside: pa.RecordBatch,
    column: Column,
    fields: list[pa.Field],
    setting: str,
    reject: Reject,
) -> pa.RecordBatch:
    kept, chats = [], []
    for number, text, others in zip(numbers.to_pylist(), texts.to_pylist(), beside.to_pylist(), strict=True):
        try:
            chats.append(chat_text(None if text is None else json.loads(text), column, others))
            kept.append(number)
        except DataError as problem:
            reject(DataError(f"{Place(setting, 'row', number)}: {problem}"))
        except (ValueError, RecursionError) as problem:
            reject(DataError(f"{Place(setting, 'row', number)}: {column.name} is not valid JSON ({problem})."))
    return pa.RecordBatch.from_arrays(
        [pa.array(kept, pa.int64()), pa.array(chats, fields[1].type)], schema=pa.schema(fields)
    )


def _can_be_label(data_type: pa.DataType) -> bool:
    tests: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_string,
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_decimal,
    )
    return any(test(data_type) for test in tests)


def _can_be_number(data_type: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(data_type) for test in tests)


def _to_text(array: pa.Array) -> pa.Array:
    """Integers, booleans and decimals as text."""
    if not pa.types.is_decimal(array.type):
        return array.cast(pa.string())
    undeclared = array.type == WIDE
    return pa.array(
        [None if number is None else _digits(number, undeclared) for number in array.to_pylist()], pa.string()
    )


def _digits(number: Decimal, undeclared: bool) -> str:
    """The decimal without an exponent, and without the zeros that `WIDE` adds if the column declares no scale."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if undeclared else text
