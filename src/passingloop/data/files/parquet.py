"""Parquet, batch by batch. Rows are counted from 0 in messages, as data frames do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passingloop.data.files.errors import check_columns
from passingloop.data.rows.batches import ROWS, SIZE, row_column
from passingloop.data.rows.columns import Column, check_chat
from passingloop.data.rows.places import Place
from passingloop.data.source import Reject
from passingloop.errors import DataError

Faults = dict[int, str]
"""What is wrong with rows of a batch, by their places in it."""


def read_parquet(
    path: Path, wanted: Sequence[Column], fields: list[pa.Field], reject: Reject
) -> Iterator[pa.RecordBatch]:
    """Batches of the wanted columns, each row with its number in the file, from 0.

    A row in which a text is not UTF-8 or a chat is none is given to `reject`.

    Raises:
        DataError: a column is missing or of another type.
    """
    # Measured: pre_buffer, which is the default, holds the whole file in memory.
    with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        check_columns(path, wanted, file.schema_arrow.names)
        for column in wanted:
            check_type(path, column, file.schema_arrow.field(column.name).type)
        row = 0
        names = sorted({column.name for column in wanted})
        for batch in file.iter_batches(_rows_per_batch(file.metadata), columns=names):
            converted = [
                _convert(batch.column(column.name), column, field.type)
                for column, field in zip(wanted, fields[1:], strict=True)
            ]
            bad = {place: why for _, faults in reversed(converted) for place, why in faults.items()}
            for place, why in sorted(bad.items()):
                reject(DataError(f"{Place(str(path), 'row', row + place)}: {why}"))
            columns = [row_column(np.arange(row, row + batch.num_rows)), *(values for values, _ in converted)]
            whole = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
            yield whole.take(np.delete(np.arange(batch.num_rows), list(bad))) if bad else whole
            row += batch.num_rows


def _rows_per_batch(metadata: pq.FileMetaData) -> int:
    size: int = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    rows: int = metadata.num_rows
    return max(1, min(ROWS, SIZE * rows // max(1, size)))


def check_type(where: Path | str, column: Column, data_type: pa.DataType) -> None:
    """The column's type is one that its setting can take.

    Raises:
        DataError: it is not.
    """
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    if pa.types.is_null(data_type):
        return
    text = pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    fits, words = {
        "text": (text, "text"),
        "label": (text or pa.types.is_integer(data_type), "text or whole numbers"),
        "labels": (_is_label_list(data_type), "a list of texts or whole numbers, or text with data.label_separator"),
        "number": (text or _is_number(data_type), "numbers"),
        "messages": (_is_chat(data_type), "a list of messages with role and content"),
    }[column.field]
    if not fits:
        raise DataError(
            f"You set {column.setting}, but in {where} that column has the type {data_type}. It must be {words}."
        )


def _is_list(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type)
    )


def _is_label_list(data_type: pa.DataType) -> bool:
    if not _is_list(data_type):
        return False
    held = data_type.value_type
    return any(
        test(held) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    )


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(data_type) or pa.types.is_floating(data_type) or pa.types.is_decimal(data_type))


def _is_chat(data_type: pa.DataType) -> bool:
    if not _is_list(data_type) or not pa.types.is_struct(data_type.value_type):
        return False
    return {"role", "content"} <= {data_type.value_type.field(n).name for n in range(data_type.value_type.num_fields)}


def _convert(values: pa.Array, column: Column, to: pa.DataType) -> tuple[pa.Array, Faults]:
    """The column of a batch in its final type, null where it is bad, and why it is."""
    faults = _encoding_faults(values, column)
    if faults:
        values = values.take(pa.array([None if place in faults else place for place in range(len(values))]))
    if column.field != "messages":
        return values.cast(to), faults
    chats = []
    for place, chat in enumerate(values.to_pylist()):
        try:
            chats.append(check_chat(chat, column))
        except DataError as problem:
            chats.append(None)
            faults[place] = str(problem)
    return pa.array(chats, to), faults


def _encoding_faults(values: pa.Array, column: Column) -> Faults:
    try:
        values.validate(full=True)  # Parquet promises UTF-8 and nobody checks it
    except pa.ArrowInvalid:
        return {place: f"{column.name} is not UTF-8 text." for place in range(len(values)) if _is_bad(values, place)}
    return {}


def _is_bad(values: pa.Array, place: int) -> bool:
    try:
        # Taken out, not sliced: validate looks at what a slice leaves aside, too.
        values.take(pa.array([place])).validate(full=True)
    except pa.ArrowInvalid:
        return True
    return False
