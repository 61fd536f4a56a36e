"""The rows of a result, batch by batch: by way of pyodbc alone, or a block at a time.

For a block the driver fills arrays that are bound to the columns. pyodbc asks for each value by a call of its own;
measured on PostgreSQL, 1M rows of three columns, it takes twice the time that a block does. The statement is pyodbc's,
whose `hstmt` ODBC's functions take: SQLBindCol, SQLFetch, and for texts that are longer than their place in the block
SQLSetPos and SQLGetData.
https://learn.microsoft.com/sql/odbc/reference/develop-app/column-wise-binding
"""

from __future__ import annotations

import ctypes
import locale
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from passingloop.data.sql.types import array_of, cast_texts

TEXT_BYTES = 1024
"""Place for each text in a block; longer ones are fetched once more, on their own."""

BLOCK_BYTES = 4 << 20
ROWS = 2000
"""Rows at a time. More are no faster, and take more memory (measured)."""

# From sql.h and sqlext.h
SUCCESS, SUCCESS_WITH_INFO, NO_DATA = 0, 1, 100
NULL_DATA, NO_TOTAL = -1, -4
C_TEXT, C_INT64, C_DOUBLE, C_BIT = 1, -25, 8, -7
ROW_ERROR = 5
UNBIND = 2
ATTR_ROW_STATUS, ATTR_ROWS_FETCHED, ATTR_ROW_ARRAY_SIZE = 25, 26, 27
IS_POINTER, IS_UNSIGNED = -4, -5
STATEMENT = 3

Array = npt.NDArray[Any]


def read_rows(cursor: Any, schema: pa.Schema, setting: str) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`, by way of pyodbc alone: any driver, any type.

    Raises:
        pyodbc.Error: the database says no, or nothing more.
        DataError: a value does not fit its column.
    """
    row = 0
    # One column after the other: zip(*rows) makes as many iterators as there are rows, four times slower.
    columns = [itemgetter(number) for number in range(len(schema))]
    while rows := cursor.fetchmany(ROWS):
        arrays = [
            array_of(list(map(column, rows)), field, setting, row)
            for column, field in zip(columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        row += len(rows)


def can_read_blocks(schema: pa.Schema) -> bool:
    """Whether all columns can be bound. Texts come in the encoding of the process, which has to hold all of them."""
    return locale.nl_langinfo(locale.CODESET) == "UTF-8" and not any(pa.types.is_binary(field.type) for field in schema)


def read_blocks(cursor: Any, schema: pa.Schema, setting: str) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`.

    Raises:
        pyodbc.Error: the database says no, or nothing more.
        DataError: a value does not fit its column.
    """
    size = sum(_width(field) + 8 for field in schema)
    rows = max(16, min(ROWS, BLOCK_BYTES // size))
    filling, filled = _Block(cursor.hstmt, schema, rows), _Block(cursor.hstmt, schema, rows)
    row = 0
    converting: Future[pa.RecordBatch] | None = None
    with ThreadPoolExecutor(1) as behind:  # one block is converted while the other is filled
        try:
            while filling.fetch():
                filled_batch = behind.submit(filling.batch, setting, row)
                row += filling.count
                if converting:
                    yield converting.result()
                converting = filled_batch
                filling, filled = filled, filling
            if converting:
                yield converting.result()
        finally:
            filling.release()


class _Block:
    """Arrays for some rows, to be bound to the columns of a statement."""

    def __init__(self, statement: ctypes.c_void_p, schema: pa.Schema, rows: int) -> None:
        self._odbc = ctypes.CDLL("libodbc.so.2")  # pyodbc has loaded it already
        self._statement, self._schema = statement, schema
        self._fetched = ctypes.c_size_t(0)
        self._status = np.zeros(rows, np.uint16)
        self._values = [np.zeros((rows, _width(field)), np.uint8) for field in schema]
        self._sizes = [np.zeros(rows, np.int64) for _ in schema]
        self._long: list[dict[int, bytes]] = []
        """For each column the texts that their place does not hold, by row."""
        self.count = 0
        """Rows that the arrays hold."""

    def fetch(self) -> int:
        """Fill the arrays; how many rows there are, none at the end."""
        self._bind()
        if self._call("SQLFetch") == NO_DATA:
            return 0
        self.count = self._fetched.value
        if (self._status[: self.count] == ROW_ERROR).any():
            raise self._error()
        self._long = [self._long_texts(number) for number in range(len(self._schema))]
        return self.count

    def batch(self, setting: str, row: int) -> pa.RecordBatch:
        """The rows in the arrays, copied."""
        arrays = []
        for number, field in enumerate(self._schema):
            values, sizes = self._values[number][: self.count], self._sizes[number][: self.count]
            if _c_type(field) == C_TEXT:
                texts = _insert_long(values, sizes, self._long[number]) if self._long[number] else _texts(values, sizes)
                arrays.append(texts if field.type == pa.string() else cast_texts(texts, field, setting, row))
            else:
                numbers: Array = values.view({C_INT64: np.int64, C_DOUBLE: np.float64, C_BIT: np.bool_}[_c_type(field)])
                arrays.append(_array(field.type, sizes == NULL_DATA, numbers[:, 0].copy()))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def release(self) -> None:
        """Have the driver forget the arrays."""
        self._odbc.SQLFreeStmt(self._statement, UNBIND)
        for attribute, value in ((ATTR_ROW_ARRAY_SIZE, 1), (ATTR_ROWS_FETCHED, 0), (ATTR_ROW_STATUS, 0)):
            self._odbc.SQLSetStmtAttr(self._statement, attribute, ctypes.c_void_p(value), IS_POINTER)

    def _bind(self) -> None:
        for attribute, value, kind in (
            (ATTR_ROW_ARRAY_SIZE, len(self._status), IS_UNSIGNED),
            (ATTR_ROWS_FETCHED, ctypes.addressof(self._fetched), IS_POINTER),
            (ATTR_ROW_STATUS, self._status.ctypes.data, IS_POINTER),
        ):
            self._call("SQLSetStmtAttr", attribute, ctypes.c_void_p(value), kind)
        for number, (field, values, sizes) in enumerate(zip(self._schema, self._values, self._sizes, strict=True), 1):
            place = ctypes.c_void_p(values.ctypes.data), ctypes.c_ssize_t(values.shape[1])
            self._call("SQLBindCol", number, _c_type(field), *place, ctypes.c_void_p(sizes.ctypes.data))

    def _long_texts(self, number: int) -> dict[int, bytes]:
        if _c_type(self._schema[number]) != C_TEXT:
            return {}
        sizes = self._sizes[number][: self.count]
        cut = np.flatnonzero((sizes >= TEXT_BYTES) | (sizes == NO_TOTAL))
        return {row: self._whole_text(number, row) for row in cut.tolist()}

    def _whole_text(self, number: int, row: int) -> bytes:
        """A text that its place in the block does not hold. The driver has it still."""
        self._call("SQLSetPos", ctypes.c_ulong(row + 1), 0, 0)  # SQL_POSITION, SQL_LOCK_NO_CHANGE
        pieces = []
        place, size = ctypes.create_string_buffer(1 << 16), ctypes.c_ssize_t()
        while (
            self._call("SQLGetData", number + 1, C_TEXT, place, ctypes.c_ssize_t(len(place)), ctypes.byref(size))
            != NO_DATA
        ):
            pieces.append(place.value)
        return b"".join(pieces)

    def _call(self, function: str, *arguments: Any) -> int:
        code: int = ctypes.c_short(getattr(self._odbc, function)(self._statement, *arguments)).value
        if code not in (SUCCESS, SUCCESS_WITH_INFO, NO_DATA):
            raise self._error()
        return code

    def _error(self) -> Exception:
        """What pyodbc would raise."""
        import pyodbc

        state, message = ctypes.create_string_buffer(6), ctypes.create_string_buffer(4096)
        native, length = ctypes.c_int(), ctypes.c_short()
        self._odbc.SQLGetDiagRec(
            STATEMENT, self._statement, 1, state, ctypes.byref(native), message, len(message), ctypes.byref(length)
        )
        error: Exception = pyodbc.Error(state.value.decode(), message.value.decode(errors="replace"))
        return error


def _texts(values: Array, sizes: Array) -> pa.Array:
    null = sizes == NULL_DATA
    lengths = np.where(null, 0, sizes)
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    longest = int(lengths.max())
    data = values[:, :longest][np.arange(longest) < lengths[:, None]]
    return _array(pa.string(), null, offsets, data)


def _insert_long(values: Array, sizes: Array, long: dict[int, bytes]) -> pa.Array:
    texts: list[str | None] = []
    for row, size in enumerate(sizes.tolist()):
        whole = long[row] if row in long else values[row, : max(0, size)].tobytes()
        texts.append(None if size == NULL_DATA else whole.decode())
    return pa.array(texts, pa.string())


def _array(kind: pa.DataType, null: Array, *buffers: Array) -> pa.Array:
    """From its buffers: pa.array imports pandas for an array of NumPy's, 48 MB (measured)."""
    if kind == pa.bool_():
        buffers = (_bits(buffers[0]),)
    valid = pa.py_buffer(_bits(~null)) if null.any() else None
    return pa.Array.from_buffers(kind, len(null), [valid, *map(pa.py_buffer, buffers)])


def _bits(truths: Array) -> Array:
    return np.packbits(truths, bitorder="little")


def _c_type(field: pa.Field) -> int:
    """What the driver is to turn a column into. What is neither number nor truth value comes as text, and is cast."""
    return {pa.int64(): C_INT64, pa.float64(): C_DOUBLE, pa.bool_(): C_BIT}.get(field.type, C_TEXT)


def _width(field: pa.Field) -> int:
    """Bytes for each value."""
    return {C_TEXT: TEXT_BYTES, C_BIT: 1}.get(_c_type(field), 8)
