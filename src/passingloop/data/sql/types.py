"""The Arrow types of a result's columns, which are the same for all rows."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from passingloop.data.rows.places import Place
from passingloop.errors import DataError

WIDE = pa.decimal256(76, 38)
"""The type of decimals without a declared precision: 38 digits before and after the point."""

UNDECLARED = 28
"""For a NUMERIC without precision psqlodbc reports that of its first value, or at least this one (measured)."""

UTC = pa.timestamp("us", tz="UTC")

TYPES = {
    str: pa.string(),
    uuid.UUID: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime.datetime: pa.timestamp("us"),
    datetime.date: pa.date32(),
    datetime.time: pa.time64("us"),
    bytes: pa.binary(),
    bytearray: pa.binary(),
}


def result_schema(description: Sequence[Sequence[Any]], zoned: Sequence[bool], setting: str) -> pa.Schema:
    """The schema of a result, from pyodbc's `cursor.description`.

    Args:
        zoned: for each column whether it is a time with a zone.

    Raises:
        DataError: a column has a type that is not supported.
    """
    fields = []
    for (name, kind, _, _, precision, scale, _), in_utc in zip(description, zoned, strict=True):
        data_type = UTC if in_utc else _decimal(precision, scale) if kind is Decimal else TYPES.get(kind)
        if data_type is None:
            raise DataError(f"{setting}: column {name} has a type that is not read ({kind.__name__}). Cast it to text.")
        fields.append(pa.field(name, data_type))
    return pa.schema(fields)


def typed_array(values: Sequence[Any], field: pa.Field, setting: str, row: int) -> pa.Array:
    """`values` as an array of the column's type, without loss; `row` is the number of the first one, from 0.

    Raises:
        DataError: the type cannot represent a value.
    """
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        pass
    for number, value in enumerate(values, row):
        try:
            pa.array([value], field.type)
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as problem:
            raise misfit_error(value, field, setting, number) from problem
    raise AssertionError("each value fits, but not all of them")


def cast_texts(texts: pa.Array, field: pa.Field, setting: str, row: int) -> pa.Array:
    """Values that the driver gave as text, as an array of the column's type; `row` is the number of the first, from 0.

    Raises:
        DataError: the type cannot represent a value.
    """
    # Arrow cannot parse text into a type with a zone. The session's zone is UTC.
    to = pa.timestamp("us") if field.type == UTC else field.type
    try:
        return texts.cast(to).cast(field.type)
    except pa.ArrowException:
        pass
    for number in range(len(texts)):
        try:
            texts[number].cast(to)
        except pa.ArrowException as problem:
            raise misfit_error(texts[number].as_py(), field, setting, row + number) from problem
    raise AssertionError("each value fits, but not all of them")


def misfit_error(value: Any, field: pa.Field, setting: str, row: int) -> DataError:
    """The error for a value that its column's type cannot represent."""
    shown = str(value)
    return DataError(
        f"{Place(setting, 'row', row)}: {field.name} is {shown[:60]}{'…' if len(shown) > 60 else ''}, which does not "
        f"fit {field.type}. Cast it to text in the query, or leave it out."
    )


def _decimal(precision: int, scale: int) -> pa.DataType:
    if 0 < precision < UNDECLARED and 0 <= scale <= precision:
        return pa.decimal128(precision, scale)
    return WIDE
