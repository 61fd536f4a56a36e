"""Columns of a dataset as the schema has them: numbers of classes become their names, chats lists of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from passingloop.data.file_chats import check_chat
from passingloop.data.file_columns import Column
from passingloop.data.file_parquet import check_type, converted
from passingloop.data.source import Reject
from passingloop.errors import DataError

ClassNames = Mapping[str, Sequence[str]]
"""For each column that is a ClassLabel the names of its classes, in the order of their numbers."""


def class_names(features: Mapping[str, Any]) -> ClassNames:
    """Those of all features that have any."""
    return {name: feature.names for name, feature in features.items() if getattr(feature, "names", None)}


def check_types(where: str, wanted: Sequence[Column], schema: pa.Schema, classes: ClassNames) -> None:
    """The type of each wanted column is one that its setting can take.

    Raises:
        DataError: one is not.
    """
    for column in wanted:
        found = schema.field(column.name).type
        named = column.field == "label" and column.name in classes
        turned = column.field == "messages" and _is_turned(found)
        if not named and not turned:
            check_type(where, column, found)


def convert(
    batch: pa.RecordBatch,
    wanted: Sequence[Column],
    fields: list[pa.Field],
    classes: ClassNames,
    where: str,
    row: int,
    reject: Reject,
) -> pa.RecordBatch:
    """The wanted columns with the types of `fields`; the batch's first row is number `row` of `where`.

    Rows whose chat is none are given to `reject`, and left out.

    Raises:
        DataError: a text is not UTF-8, or a class has no name.
    """
    if wanted[0].field == "messages":
        chats = _chats(batch.column(wanted[0].name), wanted[0], where, row, reject)
        return pa.RecordBatch.from_arrays([pa.array(chats, fields[0].type)], schema=pa.schema(fields))
    columns = []
    for column, field in zip(wanted, fields, strict=True):
        values = batch.column(column.name)
        if column.field == "label" and column.name in classes:
            columns.append(_named(values, classes[column.name], column, where))
        else:
            columns.append(converted(values, column, field.type, where, row))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _named(numbers: pa.Array, names: Sequence[str], column: Column, where: str) -> pa.Array:
    """The names of classes; -1, which stands for "not labelled" in test splits, is null."""
    highest = pc.max(numbers).as_py()
    if highest is not None and highest >= len(names):
        raise DataError(
            f"{where}: {column.name} ({column.setting}) has the class {highest}, but the dataset names {len(names)} "
            "classes only, from 0 on."
        )
    known = pc.if_else(pc.greater_equal(numbers, 0), numbers, pa.scalar(None, numbers.type))
    return pa.array(names, pa.string()).take(known)


def _chats(values: pa.Array, column: Column, where: str, row: int, reject: Reject) -> list[Any]:
    turned = _is_turned(values.type)
    chats = []
    for number, value in enumerate(values.to_pylist(), row):
        try:
            chats.append(check_chat(_turn(value) if turned and value is not None else value, column))
        except DataError as problem:
            reject(DataError(f"{where}, row {number}: {problem}"))
    return chats


def _is_turned(found: pa.DataType) -> bool:
    """A list of messages whose feature was written as `Sequence({…})` is stored as a list for each key."""
    if not pa.types.is_struct(found):
        return False
    fields = {found.field(n).name: found.field(n).type for n in range(found.num_fields)}
    return all(key in fields and pa.types.is_list(fields[key]) for key in ("role", "content"))


def _turn(value: dict[str, Any]) -> list[dict[str, Any]]:
    roles, contents = value["role"] or [], value["content"] or []
    if len(roles) != len(contents):
        raise DataError(f"has {len(roles)} roles, but {len(contents)} contents.")
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
