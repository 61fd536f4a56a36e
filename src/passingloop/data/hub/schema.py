"""Converts the columns of a dataset to the schema: numbers of classes to names, chats to lists of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from passingloop.data.files.parquet import chat_texts, check_type
from passingloop.data.rows.columns import Column
from passingloop.errors import DataError

ClassNames = Mapping[str, Sequence[str]]
"""The names of the classes of each column with a ClassLabel, in the order of their numbers."""

Faults = dict[int, str]
"""What is wrong with rows of a batch, by their index in it."""


def class_names(features: Mapping[str, Any]) -> ClassNames:
    """The names of the classes of all features that are classes or lists of classes."""
    inner = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: feature.names for name, feature in inner.items() if getattr(feature, "names", None)}


def check_types(where: str, wanted: Sequence[Column], schema: pa.Schema, classes: ClassNames) -> None:
    """Check that the type of each wanted column can be used for its setting.

    Raises:
        DataError: one cannot.
    """
    for column in wanted:
        data_type = schema.field(column.name).type
        is_class = column.field in ("label", "labels") and column.name in classes
        is_transposed = column.field == "messages" and _is_transposed(data_type)
        if not is_class and not is_transposed:
            check_type(where, column, data_type)


def convert_batch(
    batch: pa.RecordBatch, wanted: Sequence[Column], fields: list[pa.Field], classes: ClassNames
) -> tuple[pa.RecordBatch, Faults]:
    """The wanted columns with the types of `fields`, with null for unusable values, and their faults."""
    columns = []
    faults: Faults = {}
    for column, field in zip(wanted, fields, strict=True):
        values = batch.column(column.name)
        if column.field == "label" and column.name in classes:
            columns.append(_class_names(values, classes[column.name], column, faults))
        elif column.field == "labels" and column.name in classes:
            columns.append(pa.array(_class_name_lists(values, classes[column.name], column, faults), field.type))
        elif column.field == "messages":
            columns.append(pa.array(chat_texts(batch, _chats(values, column, faults), column, faults), field.type))
        else:
            columns.append(_texts(values, column, faults).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)), faults


def _class_names(numbers: pa.Array, names: Sequence[str], column: Column, faults: Faults) -> pa.Array:
    """The names of classes. The number -1, which means "no label" in test splits, becomes null."""
    is_too_large = pc.fill_null(pc.greater_equal(numbers, len(names)), False)
    for place in pc.indices_nonzero(is_too_large).to_pylist():
        faults[place] = (
            f"{column.name} ({column.setting}) is class {numbers[place]}, but the dataset names {len(names)} classes "
            "only, from 0 on."
        )
    known = pc.and_(pc.greater_equal(numbers, 0), pc.invert(is_too_large))
    return pa.array(names, pa.string()).take(pc.if_else(known, numbers, pa.scalar(None, numbers.type)))


def _class_name_lists(lists: pa.Array, names: Sequence[str], column: Column, faults: Faults) -> list[list[str] | None]:
    """The names of the classes in each list; None for a list with an invalid number."""
    names_lists: list[list[str] | None] = []
    for place, numbers in enumerate(lists.to_pylist()):
        known = numbers is not None and all(number is not None and 0 <= number < len(names) for number in numbers)
        if numbers is not None and not known:
            faults[place] = (
                f"{column.name} ({column.setting}) is {numbers}, but the dataset names {len(names)} classes."
            )
        names_lists.append([names[number] for number in numbers] if known else None)
    return names_lists


def _chats(values: pa.Array, column: Column, faults: Faults) -> list[Any]:
    """The chats as lists of messages, with None for those that are none."""
    chats: list[Any] = _texts(values, column, faults).to_pylist()
    if not _is_transposed(values.type):
        return chats
    for place, chat in enumerate(chats):
        try:
            chats[place] = None if chat is None else _transpose(chat)
        except DataError as problem:
            faults[place] = str(problem)
            chats[place] = None
    return chats


def _texts(values: pa.Array, column: Column, faults: Faults) -> pa.Array:
    """The values, with null for those that are not UTF-8. The formats require UTF-8, but readers do not check it."""
    if _is_utf8(values):
        return values
    bad = [place for place in range(len(values)) if not _is_utf8(values.take(pa.array([place])))]
    faults.update(dict.fromkeys(bad, f"{column.name} is not UTF-8 text."))
    return values.take(pa.array([None if place in bad else place for place in range(len(values))]))


def _is_utf8(values: pa.Array) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_transposed(data_type: pa.DataType) -> bool:
    """Whether chats are stored as one list per key, as datasets does for a feature `Sequence({…})`."""
    if not pa.types.is_struct(data_type):
        return False
    fields = {data_type.field(n).name: data_type.field(n).type for n in range(data_type.num_fields)}
    return all(key in fields and pa.types.is_list(fields[key]) for key in ("role", "content"))


def _transpose(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a chat that is stored as one list per field."""
    roles = value["role"] or []
    lists = {name: items for name, items in value.items() if items or name in ("role", "content")}
    for name, items in lists.items():
        if len(items or []) != len(roles):
            raise DataError(f"has {len(roles)} roles, but {len(items or [])} {name}s.")
    return [dict(zip(lists, fields, strict=True)) for fields in zip(*lists.values(), strict=True)]
