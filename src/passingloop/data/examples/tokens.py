"""Tokens of one part on disk: flat files, written as they come and read an example at a time.

tokens.bin   every example's tokens, one after another, uint16 or uint32
answers.bin  for chats, beside every token: 1 where the loss counts, else 0, uint8
lengths.bin  tokens per example, int32
targets.bin  what each example adds to the loss's normaliser: the tokens it predicts, int32; for classes there are none,
             as each counts 1
labels.bin   class of each example, int32; or, with label_counts.bin, the classes of each, one after another
label_counts.bin  how many classes each example has, int32, where that may be any number
numbers.bin  what a number is to be predicted for: float64, as many for each example
rows.bin     the row of the part that each example comes from, int64
pieces.json  which file and line, query or split that row is in: `passingloop.data.rows.places`
texts.bin    of each text or chat its hash and class: `passingloop.data.prepare.repeats`

Columns are memory-mapped. Tokens are read, not mapped: the pages of a map count as the process's own memory, and an
epoch touches all of them.
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

Array = NDArray[Any]

BLOCK = 1024
"""Of how many examples it is remembered where the first one's tokens begin: 8 bytes for each of them would be much."""

COLUMNS: dict[str, type[np.generic]] = {"lengths": np.int32, "targets": np.int32, "labels": np.int32, "rows": np.int64}
COLUMNS |= {"label_counts": np.int32, "numbers": np.float64}


def offsets(counts: Array) -> NDArray[np.int64]:
    """Where pieces of these sizes begin that stand one after another, and where the last ends."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


class Tokens:
    """The examples of one part of one source, as `Examples`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lengths: NDArray[np.int32] = self._column("lengths")
        self.targets: NDArray[np.int32] = np.broadcast_to(np.int32(1), len(self.lengths))
        if self._has("targets"):
            self.targets = self._column("targets")
        self.labels: NDArray[Any] | None = self._labels()
        self.rows: NDArray[np.int64] = self._column("rows")
        self.sources: Mapping[str, range] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, example: int) -> Array:
        """Token ids of one example, shape (length,)."""
        return self._piece(self._tokens, example, self._dtype)

    def answers(self, example: int) -> Array | None:
        """Where the loss counts in one example, shape (length,); None means everywhere."""
        return None if self._answers is None else self._piece(self._answers, example, np.dtype(np.uint8))

    def place(self, example: int) -> Place:
        """The line or row that an example comes from."""
        return self._pieces.place(int(self.rows[example]))

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces.read(self.folder)

    def _piece(self, descriptor: int, example: int, dtype: np.dtype[Any]) -> Array:
        block, inside = divmod(example, BLOCK)
        before = self.lengths[block * BLOCK : block * BLOCK + inside].sum(dtype=np.int64)
        start, length = int(self._starts[block] + before), int(self.lengths[example])
        return np.frombuffer(os.pread(descriptor, length * dtype.itemsize, start * dtype.itemsize), dtype)

    @cached_property
    def label_starts(self) -> NDArray[np.int64] | None:
        """Where the classes of each example begin in `labels`, and where the last ends, shape (n + 1,); None where
        each example has one class, or numbers."""
        return offsets(self._column("label_counts")) if self._has("label_counts") else None

    def _labels(self) -> NDArray[Any] | None:
        if self._has("numbers"):
            return self._column("numbers").reshape(len(self.lengths), -1)
        return self._column("labels") if self._has("labels") else None

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Tokens before each block of examples."""
        sums = np.add.reduceat(self.lengths, np.arange(0, len(self), BLOCK), dtype=np.int64)
        return np.concatenate([[0], np.cumsum(sums)])

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        width = (self.folder / "tokens.bin").stat().st_size // max(1, int(self._starts[-1]))
        return np.dtype(np.uint16 if width == 2 else np.uint32)

    @cached_property
    def _tokens(self) -> int:
        return self._open("tokens")

    @cached_property
    def _answers(self) -> int | None:
        return self._open("answers") if self._has("answers") else None

    def _open(self, name: str) -> int:
        descriptor = os.open(self.folder / f"{name}.bin", os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def _has(self, name: str) -> bool:
        return (self.folder / f"{name}.bin").exists()

    def _column(self, name: str) -> Array:
        path = self.folder / f"{name}.bin"
        # No example of the part may have a class, and an empty file cannot be mapped.
        return np.memmap(path, COLUMNS[name], mode="r") if path.stat().st_size else np.zeros(0, COLUMNS[name])


class TokenWriter:
    """Writes what `Tokens` reads. A context manager; the folder is complete when it has been left without error."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        folder.mkdir(parents=True)
        self.examples = 0
        self.tokens = 0
        self._folder = folder
        self._dtype = np.uint16 if vocabulary <= 2**16 else np.uint32
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
        """Append examples; every argument has one entry per example, but `labels` as many as `label_counts` says.

        With labels or numbers each of `targets` is 1.
        """
        if not ids:
            return
        lengths = np.array([len(example) for example in ids])
        self._append("tokens", np.concatenate(ids).astype(self._dtype))
        self._append("lengths", lengths.astype(np.int32))
        self._append("rows", rows.astype(np.int64))
        if answers is not None:
            self._append("answers", np.concatenate(answers).astype(np.uint8))
        if labels is None and numbers is None:
            self._append("targets", targets.astype(np.int32))
        if labels is not None:
            self._append("labels", labels.astype(np.int32))
        if label_counts is not None:
            self._append("label_counts", label_counts.astype(np.int32))
        if numbers is not None:
            self._append("numbers", numbers.astype(np.float64))
        self.examples += len(ids)
        self.tokens += int(lengths.sum())

    def relabel(self, new: Array) -> None:
        """Replace every label `i` by `new[i]`: the final numbers are known only after the last example."""
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

    def _append(self, name: str, values: Array) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.bin").open("wb")
        self._files[name].write(values.tobytes())
