"""Counts texts that are repeated: within a part, or in another part and in the training data.

The folder of a part has the file ``texts.bin`` with a record for each text or chat: its hash, and a number for its
label. The records are compared one range of hashes at a time, so that memory does not grow with the data.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passingloop.data.prepare.equality import Hashes

FILE_NAME = "texts.bin"
RECORD = np.dtype([("hash", "<u8"), ("label", "<i4")])
Records = NDArray[Any]

RECORDS_IN_MEMORY = 1 << 21
"""Approximate number of a part's records in one range; with intermediate results they take 150 MB."""

RECORDS_PER_READ = 1 << 16
"""Records read at a time."""


class RepeatWriter:
    """Writes ``texts.bin``. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FILE_NAME).open("wb")

    def add(self, hashes: Hashes, labels: NDArray[Any] | None) -> None:
        """Append a record for each text; without labels the label is 0."""
        records = np.zeros(len(hashes), RECORD)
        records["hash"] = hashes
        if labels is not None:
            records["label"] = labels
        self._file.write(records.tobytes())

    def flush(self) -> None:
        """Write all records to the file, so that it can be read."""
        self._file.flush()

    def __enter__(self) -> RepeatWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()


def label_numbers(ids: NDArray[Any] | None, counts: NDArray[Any] | None, numbers: NDArray[Any] | None) -> NDArray[Any]:
    """A number for the labels of each text: a hash of its set of classes, or of its numbers. Shape (n,).

    Different labels have the same number with a probability of 2e-10.
    """
    if numbers is not None:
        labels = [row.tobytes() for row in numbers]
    else:
        assert ids is not None
        assert counts is not None
        labels = [np.sort(row).tobytes() for row in np.split(ids, np.cumsum(counts)[:-1])]
    return np.array([zlib.crc32(row) for row in labels], np.uint32).view(np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """Counts of repeated texts of a part."""

    duplicate: int = 0
    """Texts that occur earlier in the same part."""
    conflicting: int = 0
    """Texts that also occur in the same part with another label."""
    leaked_from_train: int = 0
    """Texts that also occur in the training data."""

    def __add__(self, other: Repeats) -> Repeats:
        return Repeats(
            duplicate=self.duplicate + other.duplicate,
            conflicting=self.conflicting + other.conflicting,
            leaked_from_train=self.leaked_from_train + other.leaked_from_train,
        )


def count_repeats(folder: Path, train: Sequence[Path]) -> Repeats:
    """Count the repeated texts of the part in `folder`.

    Args:
        train: the folders of the training data; empty if the part is training data itself.
    """
    files = [other / FILE_NAME for other in (folder, *train)]
    most = max(file.stat().st_size for file in files) // RECORD.itemsize
    ranges = most // RECORDS_IN_MEMORY + 1
    repeats = (_count_in_range(*(_read_range(file, number, ranges) for file in files)) for number in range(ranges))
    return sum(repeats, Repeats())


def _count_in_range(own: Records, *train: Records) -> Repeats:
    own = own[np.argsort(own["hash"], kind="stable")]
    _, first = np.unique(own["hash"], return_index=True)
    known = np.concatenate([other["hash"] for other in train]) if train else np.zeros(0, np.uint64)
    return Repeats(
        duplicate=len(own) - len(first),
        conflicting=_count_conflicts(own["label"], first),
        leaked_from_train=int(np.isin(own["hash"], known).sum()),
    )


def _count_conflicts(labels: NDArray[np.int32], first: NDArray[np.int64]) -> int:
    """The number of texts in groups with different labels; a group of equal texts begins at each index in `first`."""
    if not len(labels):
        return 0
    differ = np.minimum.reduceat(labels, first) != np.maximum.reduceat(labels, first)
    return int(np.diff(first, append=len(labels))[differ].sum())


def _read_range(file: Path, number: int, ranges: int) -> Records:
    """The records whose hashes are in range `number` of `ranges` equal ranges."""
    records = [block[(block["hash"] >> 32) * np.uint64(ranges) >> 32 == number] for block in _blocks(file)]
    return np.concatenate(records) if records else np.zeros(0, RECORD)


def _blocks(file: Path) -> Iterator[Records]:
    with file.open("rb") as stream:
        while data := stream.read(RECORDS_PER_READ * RECORD.itemsize):
            yield np.frombuffer(data, RECORD)
