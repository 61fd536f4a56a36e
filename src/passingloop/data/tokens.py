"""Tokens of one part on disk: flat files, appended while preparing, memory-mapped while training.

tokens.bin   every example's tokens, one after another, uint16 or uint32
answers.bin  for chats, beside every token: 1 where the loss counts, else 0, uint8
lengths.npy  tokens per example, int32
targets.npy  what each example adds to the loss's normaliser: predicted tokens, or 1 for a label, int32
labels.npy   class of each example, int32; classification only
rows.npy     the row of the source that each example comes from, int64
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Tokens:
    """The examples of one part. `len()` is their number; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lengths: NDArray[np.int32] = _load(folder / "lengths.npy")
        self.targets: NDArray[np.int32] = _load(folder / "targets.npy")
        self.rows: NDArray[np.int64] = _load(folder / "rows.npy")
        labels = folder / "labels.npy"
        self.labels: NDArray[np.int32] | None = _load(labels) if labels.exists() else None

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, example: int) -> Array:
        """Token ids of one example, shape (length,)."""
        return self._tokens[self._ends[example] - self.lengths[example] : self._ends[example]]

    def answers(self, example: int) -> Array | None:
        """Where the loss counts in one example, shape (length,); None means everywhere."""
        if self._answers is None:
            return None
        return self._answers[self._ends[example] - self.lengths[example] : self._ends[example]]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.lengths, dtype=np.int64)

    @cached_property
    def _tokens(self) -> Array:
        width = (self.folder / "tokens.bin").stat().st_size // max(1, int(self._ends[-1]))
        return np.memmap(self.folder / "tokens.bin", dtype=np.uint16 if width == 2 else np.uint32, mode="r")

    @cached_property
    def _answers(self) -> Array | None:
        path = self.folder / "answers.bin"
        return np.memmap(path, dtype=np.uint8, mode="r") if path.exists() else None


class TokenWriter:
    """Writes what `Tokens` reads. A context manager; the folder is complete when it has been left without error."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._dtype = np.uint16 if vocabulary <= 2**16 else np.uint32
        self._files: dict[str, BinaryIO] = {}
        self._columns: dict[str, list[Array]] = {"lengths": [], "targets": [], "rows": [], "labels": []}

    def add(
        self,
        ids: Sequence[Array],
        targets: Array,
        rows: Array,
        labels: Array | None = None,
        answers: Sequence[Array] | None = None,
    ) -> None:
        """Append examples; every argument has one entry per example."""
        if not ids:
            return
        self._append("tokens.bin", np.concatenate(ids).astype(self._dtype))
        if answers is not None:
            self._append("answers.bin", np.concatenate(answers).astype(np.uint8))
        self._columns["lengths"].append(np.array([len(example) for example in ids], np.int32))
        self._columns["targets"].append(targets.astype(np.int32))
        self._columns["rows"].append(rows.astype(np.int64))
        if labels is not None:
            self._columns["labels"].append(labels.astype(np.int32))

    def relabel(self, new: Array) -> None:
        """Replace every label `i` by `new[i]`: the final numbers are known only after the last example."""
        self._columns["labels"] = [new[labels].astype(np.int32) for labels in self._columns["labels"]]

    @property
    def examples(self) -> int:
        return sum(len(lengths) for lengths in self._columns["lengths"])

    @property
    def tokens(self) -> int:
        return sum(int(lengths.sum(dtype=np.int64)) for lengths in self._columns["lengths"])

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()
        if kind is None:
            for name, column in self._columns.items():
                if column:
                    np.save(self._folder / f"{name}.npy", np.concatenate(column))

    def _append(self, name: str, values: Array) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / name).open("wb")
        self._files[name].write(values.tobytes())


def _load(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r")
    return array
