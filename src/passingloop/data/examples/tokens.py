"""The tokens of one part on disk: flat files, which are appended to, and read one example at a time.

tokens.bin        the tokens of all examples, one after another, uint16 or uint32
answers.bin       chats only: for each token 1 if the loss counts it, else 0, uint8
lengths.bin       tokens per example, int32
targets.bin       what each example adds to the loss's normalizer: the tokens it predicts, int32; no file for tasks with
                  labels, where each example adds 1
labels.bin        class of each example, int32; with label_counts.bin the classes of all examples, one after another
label_counts.bin  multilabel only: the number of classes of each example, int32
numbers.bin       regression only: the numbers to predict, float64, the same count for each example
rows.bin          the row of the part that each example comes from, int64
pieces.json       the file, query or split of each row: `passingloop.data.rows.places`
texts.bin         hash and class of each text or chat: `passingloop.data.prepare.repeats`

All files but tokens and answers are memory-mapped. Those two are read with pread instead, because mapped pages count as
the process's memory, and an epoch reads all of them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from passingloop.data.rows.places import Pieces, Place
from passingloop.errors import DataError

Array = NDArray[Any]

EXAMPLES_PER_BLOCK = 1024
"""The offset of the tokens is stored for one example in so many; for every example it would take 8 bytes each."""

COLUMNS: dict[str, type[np.generic]] = {"lengths": np.int32, "targets": np.int32, "labels": np.int32, "rows": np.int64}
COLUMNS |= {"label_counts": np.int32, "numbers": np.float64}


def offsets(counts: Array) -> NDArray[np.int64]:
    """The offsets of consecutive pieces of these sizes, and the end of the last one; shape (n + 1,)."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


class Tokens:
    """The examples of one part of one source, as `Examples`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lengths: NDArray[np.int32] = self._column("lengths")
        self.targets: NDArray[np.int32] = np.broadcast_to(np.int32(1), len(self.lengths))
        if self._has_column("targets"):
            self.targets = self._column("targets")
        self.labels: NDArray[Any] | None = self._labels()
        self.rows: NDArray[np.int64] = self._column("rows")
        self.sources: Mapping[str, range] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, example: int) -> Array:
        """Token ids of one example, shape (length,)."""
        return self._read_values(self._tokens_descriptor, example, self._dtype)

    def answers(self, example: int) -> Array | None:
        """Where the loss counts in one example, shape (length,); None means everywhere."""
        descriptor = self._answers_descriptor
        return None if descriptor is None else self._read_values(descriptor, example, np.dtype(np.uint8))

    def place(self, example: int) -> Place:
        """The file and line, or the row of a query or split, of an example."""
        return self._pieces.place(int(self.rows[example]))

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces.read(self.folder)

    def _read_values(self, descriptor: int, example: int, dtype: np.dtype[Any]) -> Array:
        block, inside = divmod(example, EXAMPLES_PER_BLOCK)
        before = self.lengths[block * EXAMPLES_PER_BLOCK : block * EXAMPLES_PER_BLOCK + inside].sum(dtype=np.int64)
        start, length = int(self._block_starts[block] + before), int(self.lengths[example])
        return np.frombuffer(os.pread(descriptor, length * dtype.itemsize, start * dtype.itemsize), dtype)

    @cached_property
    def label_starts(self) -> NDArray[np.int64] | None:
        """The offset in `labels` of each example's classes, and the end of the last, shape (n + 1,); None if each
        example has one class, or numbers."""
        return offsets(self._column("label_counts")) if self._has_column("label_counts") else None

    def _labels(self) -> NDArray[Any] | None:
        if self._has_column("numbers"):
            return self._column("numbers").reshape(len(self.lengths), -1)
        return self._column("labels") if self._has_column("labels") else None

    @cached_property
    def _block_starts(self) -> NDArray[np.int64]:
        """The offset in tokens of each block of examples."""
        sums = np.add.reduceat(self.lengths, np.arange(0, len(self), EXAMPLES_PER_BLOCK), dtype=np.int64)
        return np.concatenate([[0], np.cumsum(sums)])

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        width = (self.folder / "tokens.bin").stat().st_size // max(1, int(self._block_starts[-1]))
        return np.dtype(np.uint16 if width == 2 else np.uint32)

    @cached_property
    def _tokens_descriptor(self) -> int:
        return self._open("tokens")

    @cached_property
    def _answers_descriptor(self) -> int | None:
        return self._open("answers") if self._has_column("answers") else None

    def _open(self, name: str) -> int:
        descriptor = os.open(self.folder / f"{name}.bin", os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def _has_column(self, name: str) -> bool:
        return (self.folder / f"{name}.bin").exists()

    def _column(self, name: str) -> Array:
        path = self.folder / f"{name}.bin"
        # An empty file cannot be mapped; it occurs if no example of the part has a class.
        return np.memmap(path, COLUMNS[name], mode="r") if path.stat().st_size else np.zeros(0, COLUMNS[name])


class TokenWriter:
    """Writes the files that `Tokens` reads. A context manager; the folder is complete after it ends without error.

    Args:
        largest_id: the largest token id that can occur; it determines the type of ``tokens.bin``.
    """

    def __init__(self, folder: Path, largest_id: int) -> None:
        folder.mkdir(parents=True)
        self.examples = 0
        self.tokens = 0
        self._folder = folder
        self._dtype: type[np.generic] = np.uint16 if largest_id < 2**16 else np.uint32
        self._files: dict[str, BinaryIO] = {}

    def add(
        self,
        ids: Sequence[Array],
        targets: Array,
        rows: Array,
        labels: Array | None = None,
        answers: Sequence[Array] | None = None,
        label_counts: Array | None = None,
        numbers: Array | None = None,
    ) -> None:
        """Append examples. Every argument has one entry per example; with `label_counts`, `labels` has their sum.

        With labels or numbers all `targets` must be 1.

        Raises:
            DataError: a number is too large for the type of its file.
        """
        if not ids:
            return
        lengths = np.array([len(example) for example in ids])
        self._append("tokens", np.concatenate(ids), self._dtype)
        self._append("lengths", lengths)
        self._append("rows", rows)
        if answers is not None:
            self._append("answers", np.concatenate(answers), np.uint8)
        if labels is None and numbers is None:
            self._append("targets", targets)
        if labels is not None:
            self._append("labels", labels)
        if label_counts is not None:
            self._append("label_counts", label_counts)
        if numbers is not None:
            self._append("numbers", numbers)
        self.examples += len(ids)
        self.tokens += int(lengths.sum())

    def relabel(self, new: Array) -> None:
        """Replace every label `i` by `new[i]`. The final numbers are known only after the last example."""
        if "labels" not in self._files:
            return
        self._files["labels"].flush()
        if not self._files["labels"].tell():
            return
        labels = np.memmap(self._folder / "labels.bin", np.int32, mode="r+")
        for start in range(0, len(labels), 1 << 20):
            labels[start : start + (1 << 20)] = new[labels[start : start + (1 << 20)]]
        labels.flush()

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, values: Array, dtype: type[np.generic] | None = None) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.bin").open("wb")
        self._files[name].write(_cast(name, values, dtype or COLUMNS[name]).tobytes())


def _cast(name: str, values: Array, dtype: type[np.generic]) -> Array:
    """`values` as `dtype`. NumPy would wrap integers that do not fit, without an error.

    Raises:
        DataError: one does not fit.
    """
    if np.issubdtype(dtype, np.integer) and len(values) and dtype != values.dtype:
        limits = np.iinfo(dtype)  # type: ignore[type-var]
        if values.min() < limits.min or values.max() > limits.max:
            advice = " Correct the vocabulary of the tokenizer, which has no such id." if name == "tokens" else ""
            raise DataError(
                f"The {name} of the examples include {values.max()}, but are stored as numbers of at most "
                f"{limits.max}.{advice}"
            )
    return values.astype(dtype)
