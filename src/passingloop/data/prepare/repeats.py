"""Which texts occur more than once, within a part and in training data as well as elsewhere.

Beside the tokens of a part stands ``texts.bin``: a record for each text or chat, in order, with its hash and a
number for its label. They are looked at a range of hashes at a time, so that memory does not grow with the data.
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

NAME = "texts.bin"
RECORD = np.dtype([("hash", "<u8"), ("label", "<i4")])
Records = NDArray[Any]

AT_ONCE = 1 << 21
"""Records of a part that are held at once, about; they and what is made of them take 150 MB."""

BLOCK = 1 << 16
"""Records that are read at once."""


class RepeatWriter:
    """Writes ``texts.bin``. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / NAME).open("wb")

    def add(self, hashes: Hashes, labels: NDArray[Any] | None) -> None:
        """Append a record for each text; without labels all have label 0."""
        records = np.zeros(len(hashes), RECORD)
        records["hash"] = hashes
        if labels is not None:
            records["label"] = labels
        self._file.write(records.tobytes())

    def flush(self) -> None:
        """What was added can be read."""
        self._file.flush()

    def __enter__(self) -> RepeatWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()


def same_labels(ids: NDArray[Any] | None, counts: NDArray[Any] | None, numbers: NDArray[Any] | None) -> NDArray[Any]:
    """A number for the labels of each text, which is the same for the same labels: the classes of a text in any order,
    or its numbers. Others have the same one with a probability of 2e-10."""
    if numbers is not None:
        labels = [row.tobytes() for row in numbers]
    else:
        assert ids is not None
        assert counts is not None
        labels = [np.sort(row).tobytes() for row in np.split(ids, np.cumsum(counts)[:-1])]
    return np.array([zlib.crc32(row) for row in labels], np.uint32).view(np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """Numbers of texts of a part."""

    duplicate: int = 0
    """That occur earlier in the same part."""
    conflicting: int = 0
    """That occur in the same part with another class."""
    leaked_from_train: int = 0
    """That occur in the training data as well."""

    def __add__(self, other: Repeats) -> Repeats:
        return Repeats(
            duplicate=self.duplicate + other.duplicate,
            conflicting=self.conflicting + other.conflicting,
            leaked_from_train=self.leaked_from_train + other.leaked_from_train,
        )


def count_repeats(folder: Path, train: Sequence[Path]) -> Repeats:
    """What is repeated in the part that `folder` holds.

    Args:
        train: the folders of the training data that it is compared with; none where it is itself such.
    """
    files = [other / NAME for other in (folder, *train)]
    most = max(file.stat().st_size for file in files) // RECORD.itemsize
    ranges = most // AT_ONCE + 1
    repeats = (_repeats(*(_read_range(file, number, ranges) for file in files)) for number in range(ranges))
    return sum(repeats, Repeats())


def _repeats(own: Records, *train: Records) -> Repeats:
    own = own[np.argsort(own["hash"], kind="stable")]
    _, first = np.unique(own["hash"], return_index=True)
    known = np.concatenate([other["hash"] for other in train]) if train else np.zeros(0, np.uint64)
    return Repeats(
        duplicate=len(own) - len(first),
        conflicting=_count_conflicts(own["label"], first),
        leaked_from_train=int(np.isin(own["hash"], known).sum()),
    )


def _count_conflicts(labels: NDArray[np.int32], first: NDArray[np.int64]) -> int:
    """How many of `labels` stand in a group that has several; the groups begin at `first`."""
    if not len(labels):
        return 0
    differ = np.minimum.reduceat(labels, first) != np.maximum.reduceat(labels, first)
    return int(np.diff(first, append=len(labels))[differ].sum())


def _read_range(file: Path, number: int, ranges: int) -> Records:
    """The records whose hashes lie in one of `ranges` equal ranges."""
    kept = [block[(block["hash"] >> 32) * np.uint64(ranges) >> 32 == number] for block in _blocks(file)]
    return np.concatenate(kept) if kept else np.zeros(0, RECORD)


def _blocks(file: Path) -> Iterator[Records]:
    with file.open("rb") as stream:
        while data := stream.read(BLOCK * RECORD.itemsize):
            yield np.frombuffer(data, RECORD)
