"""Which Arrow type a column of a result is read as, once for all of its rows."""

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
"""For decimals without a declared precision: 38 digits on either side of the point."""

UNDECLARED = 28
"""From this precision on psqlodbc reports the first value's digits for a NUMERIC without any (measured)."""

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


def schema_of_result(description: Sequence[Sequence[Any]], zoned: Sequence[bool], setting: str) -> pa.Schema:
    """The types of what `cursor.description` describes; `zoned` tells which columns are times with a zone.

    Raises:
        DataError: a column has a type that is not read.
    """
    fields = []
    for (name, kind, _, _, precision, scale, _), in_utc in zip(description, zoned, strict=True):
        data_type = UTC if in_utc else _decimal(precision, scale) if kind is Decimal else TYPES.get(kind)
        if data_type is None:
            raise DataError(f"{setting}: column {name} has a type that is not read ({kind.__name__}). Cast it to text.")
        fields.append(pa.field(name, data_type))
    return pa.schema(fields)


def array_of(values: Sequence[Any], field: pa.Field, setting: str, row: int) -> pa.Array:
    """`values` as the column's type, exactly; `row` is the number of the first, from 0.

    Raises:
        DataError: a value does not fit.
    """
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        pass
    for number, value in enumerate(values, row):
        try:
            pa.array([value], field.type)
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as problem:
            raise misfit(value, field, setting, number) from problem
    raise AssertionError("each value fits, but not all of them")


def cast_texts(texts: pa.Array, field: pa.Field, setting: str, row: int) -> pa.Array:
    """What a driver has written as text, as the column's type; `row` is the number of the first, from 0.

    Raises:
        DataError: a value does not fit.
    """
    # Arrow reads no zone into a time with one: the session's is UTC.
    to = pa.timestamp("us") if field.type == UTC else field.type
    try:
        return texts.cast(to).cast(field.type)
    except pa.ArrowException:
        pass
    for number in range(len(texts)):
        try:
            texts[number].cast(to)
        except pa.ArrowException as problem:
            raise misfit(texts[number].as_py(), field, setting, row + number) from problem
    raise AssertionError("each value fits, but not all of them")


def misfit(value: Any, field: pa.Field, setting: str, row: int) -> DataError:
    """The error for a value that its column's type cannot hold."""
    shown = str(value)
    return DataError(
        f"{Place(setting, 'row', row)}: {field.name} is {shown[:60]}{'…' if len(shown) > 60 else ''}, which does not "
        f"fit {field.type}. Cast it to text in the query, or leave it out."
    )


def _decimal(precision: int, scale: int) -> pa.DataType:
    if 0 < precision < UNDECLARED and 0 <= scale <= precision:
        return pa.decimal128(precision, scale)
    return WIDE
