"""Reads the rows of a result in batches: with pyodbc alone, or in blocks with ODBC's own functions.

pyodbc makes a call for each value. For a block, the driver fills arrays that are bound to the columns, which takes half
the time (measured on PostgreSQL, 1M rows of three columns). ODBC's functions work on pyodbc's statement handle,
`hstmt`: SQLBindCol, SQLFetch, and for texts that do not fit into the block SQLSetPos and SQLGetData.
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

from passingloop.data.sql.types import cast_texts, typed_array

TEXT_BYTES = 1024
"""Bytes for each text in a block; longer texts are fetched separately."""

BLOCK_BYTES = 4 << 20
ROWS = 2000
"""Rows per block. More are not faster, and take more memory (measured)."""

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
    """Batches with `schema`, read with pyodbc alone, for all drivers and types.

    Raises:
        pyodbc.Error: the database reports an error, or the connection is lost.
        DataError: a value does not fit its column.
    """
    row = 0
    # Column by column, as zip(*rows) makes an iterator per row, which is four times slower.
    columns = [itemgetter(number) for number in range(len(schema))]
    while rows := cursor.fetchmany(ROWS):
        arrays = [
            typed_array(list(map(column, rows)), field, setting, row)
            for column, field in zip(columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        row += len(rows)


def can_read_blocks(schema: pa.Schema) -> bool:
    """Whether all columns can be bound. Texts arrive in the encoding of the process, which must be UTF-8."""
    return locale.nl_langinfo(locale.CODESET) == "UTF-8" and not any(pa.types.is_binary(field.type) for field in schema)


def read_blocks(cursor: Any, schema: pa.Schema, setting: str) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`, read in blocks.

    Raises:
        pyodbc.Error: the database reports an error, or the connection is lost.
        DataError: a value does not fit its column.
    """
    size = sum(_width(field) + 8 for field in schema)
    rows = max(16, min(ROWS, BLOCK_BYTES // size))
    block, other = _Block(cursor.hstmt, schema, rows), _Block(cursor.hstmt, schema, rows)
    row = 0
    conversion: Future[pa.RecordBatch] | None = None
    with ThreadPoolExecutor(1) as executor:  # one block is converted while the other is filled
        try:
            while block.fetch():
                batch = executor.submit(block.batch, setting, row)
                row += block.count
                if conversion:
                    yield conversion.result()
                conversion = batch
                block, other = other, block
            if conversion:
                yield conversion.result()
        finally:
            block.release()


class _Block:
    """Arrays for some rows, which are bound to the columns of a statement."""

    def __init__(self, statement: ctypes.c_void_p, schema: pa.Schema, rows: int) -> None:
        self._odbc = ctypes.CDLL("libodbc.so.2")  # pyodbc has loaded it already
        self._statement, self._schema = statement, schema
        self._fetched = ctypes.c_size_t(0)
        self._status = np.zeros(rows, np.uint16)
        self._values = [np.zeros((rows, _width(field)), np.uint8) for field in schema]
        self._sizes = [np.zeros(rows, np.int64) for _ in schema]
        self._long: list[dict[int, bytes]] = []
        """For each column the texts that do not fit into the arrays, by row."""
        self.count = 0
        """Rows in the arrays."""

    def fetch(self) -> int:
        """Fill the arrays; returns the number of rows, 0 at the end of the result."""
        self._bind()
        if self._call("SQLFetch") == NO_DATA:
            return 0
        self.count = self._fetched.value
        if (self._status[: self.count] == ROW_ERROR).any():
            raise self._error()
        self._long = [self._long_texts(number) for number in range(len(self._schema))]
        return self.count

    def batch(self, setting: str, row: int) -> pa.RecordBatch:
        """A copy of the rows in the arrays."""
        arrays = []
        for number, field in enumerate(self._schema):
            values, sizes = self._values[number][: self.count], self._sizes[number][: self.count]
            if _c_type(field) == C_TEXT:
                texts = (
                    _text_array_with_long(values, sizes, self._long[number])
                    if self._long[number]
                    else _text_array(values, sizes)
                )
                arrays.append(texts if field.type == pa.string() else cast_texts(texts, field, setting, row))
            else:
                numbers: Array = values.view({C_INT64: np.int64, C_DOUBLE: np.float64, C_BIT: np.bool_}[_c_type(field)])
                arrays.append(_array_from_buffers(field.type, sizes == NULL_DATA, numbers[:, 0].copy()))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def release(self) -> None:
        """Unbind the arrays."""
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
        """A text that does not fit into the arrays, from the driver, which still has it."""
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
        """The exception that pyodbc would raise."""
        import pyodbc

        state, message = ctypes.create_string_buffer(6), ctypes.create_string_buffer(4096)
        native, length = ctypes.c_int(), ctypes.c_short()
        self._odbc.SQLGetDiagRec(
            STATEMENT, self._statement, 1, state, ctypes.byref(native), message, len(message), ctypes.byref(length)
        )
        error: Exception = pyodbc.Error(state.value.decode(), message.value.decode(errors="replace"))
        return error


def _text_array(values: Array, sizes: Array) -> pa.Array:
    null = sizes == NULL_DATA
    lengths = np.where(null, 0, sizes)
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    longest = int(lengths.max())
    data = values[:, :longest][np.arange(longest) < lengths[:, None]]
    return _array_from_buffers(pa.string(), null, offsets, data)


def _text_array_with_long(values: Array, sizes: Array, long: dict[int, bytes]) -> pa.Array:
    texts: list[str | None] = []
    for row, size in enumerate(sizes.tolist()):
        whole = long[row] if row in long else values[row, : max(0, size)].tobytes()
        texts.append(None if size == NULL_DATA else whole.decode())
    return pa.array(texts, pa.string())


def _array_from_buffers(kind: pa.DataType, null: Array, *buffers: Array) -> pa.Array:
    """An array from its buffers. pa.array would import pandas for a NumPy array, which takes 48 MB (measured)."""
    if kind == pa.bool_():
        buffers = (_bitmap(buffers[0]),)
    valid = pa.py_buffer(_bitmap(~null)) if null.any() else None
    return pa.Array.from_buffers(kind, len(null), [valid, *map(pa.py_buffer, buffers)])


def _bitmap(truths: Array) -> Array:
    return np.packbits(truths, bitorder="little")


def _c_type(field: pa.Field) -> int:
    """The C type into which the driver converts a column. Types other than numbers and booleans arrive as text."""
    return {pa.int64(): C_INT64, pa.float64(): C_DOUBLE, pa.bool_(): C_BIT}.get(field.type, C_TEXT)


def _width(field: pa.Field) -> int:
    """Bytes for each value of a column."""
    return {C_TEXT: TEXT_BYTES, C_BIT: 1}.get(_c_type(field), 8)
