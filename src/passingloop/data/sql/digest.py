"""A digest of typed rows in their order, which does not depend on how they are divided into batches."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa


class RowsDigest:
    """SHA-256 of each column: of the sizes of its values, with -1 for null, and of the values."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [(hashlib.sha256(), hashlib.sha256()) for _ in schema]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        for array, (sizes, values) in zip(batch.columns, self._columns, strict=True):
            sizes.update(_sizes(array))
            values.update(_values(array.drop_null()))

    def hexdigest(self) -> str:
        """The digest of the names, types and all rows so far, in hexadecimal."""
        whole = hashlib.sha256(repr([(field.name, str(field.type)) for field in self._schema]).encode())
        for sizes, values in self._columns:
            whole.update(sizes.digest() + values.digest())
        return whole.hexdigest()


def _sizes(array: pa.Array) -> bytes:
    """For each value -1 if it is null, else its bytes if it is text or binary, or 0; as little-endian int32."""
    sizes = np.diff(_offsets(array)).astype("<i4") if _has_offsets(array) else np.zeros(len(array), "<i4")
    if array.null_count:
        sizes = np.where(array.is_null().to_numpy(zero_copy_only=False), np.int32(-1), sizes)
    return sizes.astype("<i4").tobytes()


def _values(array: pa.Array) -> memoryview:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if _has_offsets(array):
        offsets = _offsets(array)
        return memoryview(array.buffers()[2] or b"")[offsets[0] : offsets[-1]]
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1] or b"")[array.offset * width : (array.offset + len(array)) * width]


def _has_offsets(array: pa.Array) -> bool:
    return bool(pa.types.is_string(array.type) or pa.types.is_binary(array.type))


def _offsets(array: pa.Array) -> np.ndarray:
    if not len(array):
        return np.zeros(1, np.int32)
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
