"""Reads Parquet files batch by batch. Messages count rows from 0, as data frames do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.files.errors import check_columns
from passingloop.data.rows.batches import MAX_ROWS, MAX_SIZE, row_column
from passingloop.data.rows.chats import chat_text, columns_beside
from passingloop.data.rows.columns import Column
from passingloop.data.rows.places import Place
from passingloop.data.source import Reject
from passingloop.errors import DataError

Faults = dict[int, str]
"""What is wrong with rows of a batch, by their index in it."""


def read_parquet(
    path: Path, wanted: Sequence[Column], fields: list[pa.Field], reject: Reject
) -> Iterator[pa.RecordBatch]:
    """Batches of the wanted columns, and for each row its number in the file, counted from 0.

    A row with a text that is not UTF-8, or an invalid chat, is passed to `reject`.

    Raises:
        DataError: a column is missing or of another type.
    """
    # pre_buffer, the default, keeps the whole file in memory (measured).
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        check_columns(path, wanted, file.schema_arrow.names)
        for column in wanted:
            check_type(path, column, file.schema_arrow.field(column.name).type)
        row = 0
        names = columns_to_read(wanted, file.schema_arrow.names)
        for batch in file.iter_batches(_rows_per_batch(file.metadata), columns=names):
            converted = [
                _convert_column(batch, column, field.type) for column, field in zip(wanted, fields[1:], strict=True)
            ]
            bad = {place: why for _, faults in reversed(converted) for place, why in faults.items()}
            for place, why in sorted(bad.items()):
                reject(DataError(f"{Place(str(path), 'row', row + place)}: {why}"))
            columns = [row_column(np.arange(row, row + batch.num_rows)), *(values for values, _ in converted)]
            whole = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
            yield whole.take(np.delete(np.arange(batch.num_rows), list(bad))) if bad else whole
            row += batch.num_rows


def columns_to_read(wanted: Sequence[Column], names: Sequence[str]) -> list[str]:
    """The wanted columns, and with chats those of `names` that belong to them, sorted."""
    return sorted({column.name for column in wanted} | {*columns_beside(wanted, names)})


def chat_texts(batch: pa.RecordBatch, chats: Sequence[object], column: Column, faults: Faults) -> list[str | None]:
    """The JSON text of each chat of a batch, with None for those that cannot be used, which are added to `faults`."""
    beside = batch.select(columns_beside([column], batch.schema.names)).to_pylist()
    texts: list[str | None] = []
    for place, chat in enumerate(chats):
        try:
            texts.append(chat_text(chat, column, beside[place], typed=True))
        except DataError as problem:
            texts.append(None)
            faults[place] = str(problem)
    return texts


def _rows_per_batch(metadata: pq.FileMetaData) -> int:
    size: int = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    rows: int = metadata.num_rows
    return max(1, min(MAX_ROWS, MAX_SIZE * rows // max(1, size)))


def check_type(where: Path | str, column: Column, data_type: pa.DataType) -> None:
    """Check that a column of this type can be used for its setting.

    Raises:
        DataError: it cannot.
    """
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    if pa.types.is_null(data_type):
        return
    text = pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    fits, expected = {
        "text": (text, "text"),
        "label": (text or pa.types.is_integer(data_type), "text or whole numbers"),
        "labels": (_is_label_list(data_type), "a list of texts or whole numbers, or text with data.label_separator"),
        "number": (text or _is_number(data_type), "numbers"),
        "messages": (_is_chat(data_type), "a list of messages with role and content"),
    }[column.field]
    if not fits:
        raise DataError(
            f"You set {column.setting}, but in {where} that column has the type {data_type}. It must be {expected}."
        )


def _is_list(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type)
    )


def _is_label_list(data_type: pa.DataType) -> bool:
    if not _is_list(data_type):
        return False
    value_type = data_type.value_type
    return any(
        test(value_type)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    )


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(data_type) or pa.types.is_floating(data_type) or pa.types.is_decimal(data_type))


def _is_chat(data_type: pa.DataType) -> bool:
    if not _is_list(data_type) or not pa.types.is_struct(data_type.value_type):
        return False
    return {"role", "content"} <= {data_type.value_type.field(n).name for n in range(data_type.value_type.num_fields)}


def _convert_column(batch: pa.RecordBatch, column: Column, to: pa.DataType) -> tuple[pa.Array, Faults]:
    """A column of `batch` in its final type, with null for unusable values, and their faults."""
    values = batch.column(column.name)
    faults = _encoding_faults(values, column)
    if faults:
        values = values.take(pa.array([None if place in faults else place for place in range(len(values))]))
    if column.field != "messages":
        return values.cast(to), faults
    return pa.array(chat_texts(batch, values.to_pylist(), column, faults), to), faults


def _encoding_faults(values: pa.Array, column: Column) -> Faults:
    try:
        values.validate(full=True)  # Parquet requires UTF-8, but neither writers nor readers check it
    except pa.ArrowInvalid:
        return {
            place: f"{column.name} is not UTF-8 text." for place in range(len(values)) if _is_invalid(values, place)
        }
    return {}


def _is_invalid(values: pa.Array, place: int) -> bool:
    try:
        # take copies the value; for a slice, validate would also check the values outside of it.
        values.take(pa.array([place])).validate(full=True)
    except pa.ArrowInvalid:
        return True
    return False
