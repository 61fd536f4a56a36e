"""Parquet, batch by batch. Rows are counted from 0 in messages, as data frames do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.file_batches import ROWS, SIZE
from passingloop.data.file_chats import check_chat
from passingloop.data.file_columns import Column
from passingloop.data.file_errors import check_columns
from passingloop.errors import DataError


def read_parquet(path: Path, wanted: Sequence[Column], fields: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    """Batches of the wanted columns.

    Raises:
        DataError: a column is missing or of another type, or a value cannot be read.
    """
    # Measured: pre_buffer, which is the default, holds the whole file in memory.
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        check_columns(path, wanted, file.schema_arrow.names)
        check_types(path, wanted, file.schema_arrow)
        row = 0
        names = sorted({column.name for column in wanted})
        for batch in file.iter_batches(_rows_per_batch(file.metadata), columns=names):
            columns = [
                _converted(batch.column(column.name), column, field.type, path, row)
                for column, field in zip(wanted, fields, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
            row += batch.num_rows


def check_types(path: Path, wanted: Sequence[Column], schema: pa.Schema) -> None:
    """Every wanted column has a type that can be read.

    Raises:
        DataError: one has not.
    """
    for column in wanted:
        _check_type(path, column, schema.field(column.name).type)


def _rows_per_batch(metadata: pq.FileMetaData) -> int:
    size: int = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    rows: int = metadata.num_rows
    return max(1, min(ROWS, SIZE * rows // max(1, size)))


def _check_type(path: Path, column: Column, found: pa.DataType) -> None:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found):
        return
    text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    fits, words = {
        "text": (text, "text"),
        "label": (text or pa.types.is_integer(found), "text or whole numbers"),
        "messages": (_is_chat(found), "a list of messages with role and content"),
    }[column.field]
    if not fits:
        raise DataError(
            f"You set {column.setting}, but in {path} that column has the type {found}. It must be {words}."
        )


def _is_chat(found: pa.DataType) -> bool:
    lists = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    if not lists or not pa.types.is_struct(found.value_type):
        return False
    return {"role", "content"} <= {found.value_type.field(n).name for n in range(found.value_type.num_fields)}


def _converted(values: pa.Array, column: Column, to: pa.DataType, path: Path, row: int) -> pa.Array:
    try:
        values.validate(full=True)  # Parquet promises UTF-8 and nobody checks it
    except pa.ArrowInvalid as problem:
        bad = _first_invalid(values, row)
        raise DataError(f"{path}, row {bad}: {column.name} is not UTF-8 text.") from problem
    if column.field != "messages":
        return values.cast(to)
    chats = []
    for number, chat in enumerate(values.to_pylist(), row):
        try:
            chats.append(check_chat(chat, column))
        except DataError as problem:
            raise DataError(f"{path}, row {number}: {problem}") from problem
    return pa.array(chats, to)


def _first_invalid(values: pa.Array, row: int) -> int:
    for number in range(len(values)):
        try:
            # Taken out, not sliced: validate looks at what a slice leaves aside, too.
            values.take(pa.array([number])).validate(full=True)
        except pa.ArrowInvalid:
            return row + number
    raise AssertionError("each value is valid, but not all of them")
