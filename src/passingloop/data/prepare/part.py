"""Writes the files of one part, and counts its examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from passingloop.data.examples.tokens import Array, TokenWriter
from passingloop.data.prepare.equality import Hashes
from passingloop.data.prepare.lengths import histogram, percentiles
from passingloop.data.prepare.repeats import RepeatWriter, count_repeats, label_numbers
from passingloop.tasks.encoding import Encoded
from passingloop.tasks.task import Labels

LOST = 5
"""The most frequent characters that the tokenizer leaves out, which are stored."""

SAMPLES = 3
"""Number of examples whose numbers are stored, to be shown in the report."""


class PartWriter:
    """Writes the examples of one part, batch by batch."""

    def __init__(self, folder: Path, largest_id: int, stack: ExitStack) -> None:
        self.tokens = stack.enter_context(TokenWriter(folder, largest_id))
        self.lengths: Counter[int] = Counter()
        """The number of texts of each length in tokens, before they are cut."""
        self.cut = self.nothing = 0
        self.answer_ends: set[int] = set()
        """The tokens that end the answers of chats."""
        self.unprompted = 0
        self._lossy = 0
        self._lost = Counter[str]()
        self._folder = folder
        self._texts = stack.enter_context(RepeatWriter(folder))
        self._labels: Counter[int] = Counter()

    def add(self, encoded: Encoded, rows: Array, hashes: Hashes, labels: Labels | None, ids: Array | None) -> None:
        """Append the examples of a batch.

        Args:
            rows, hashes, labels: one entry for each row of the batch.
            ids: the numbers of the classes in `labels.names`.
        """
        counts, numbers = (labels.counts, labels.numbers) if labels else (None, None)
        self.cut += encoded.cut
        self.nothing += encoded.empty
        self.answer_ends |= encoded.ends
        self.unprompted += encoded.unprompted
        self.lengths.update(encoded.lengths.tolist())
        self._texts.add(hashes, ids if counts is None and numbers is None else label_numbers(ids, counts, numbers))
        if ids is not None:
            self._labels.update(ids.tolist())
        self.tokens.add(encoded.ids, encoded.targets, rows[encoded.source], ids, encoded.answers, counts, numbers)

    def add_lost(self, texts: int, characters: Counter[str]) -> None:
        """Count texts of which the tokenizer leaves `characters` out."""
        self._lossy += texts
        self._lost += characters

    @property
    def used(self) -> int:
        """Rows with usable text and label, including those that gave no example because there was nothing to
        predict."""
        return self.lengths.total()

    def summary(self, train: PartWriter | None, ends: list[int], numbers: Mapping[str, int]) -> dict[str, Any]:
        """The description of the part in ``meta.json``.

        Args:
            train: the writer of the training data; None if this is it.
            ends: the bins of the histogram of lengths.
            numbers: the provisional number of each class, in the order of the final numbers.
        """
        for part in (self, train) if train else (self,):
            part._texts.flush()
        repeats = asdict(count_repeats(self._folder, [train._folder] if train else []))
        lost = sorted(self._lost.items(), key=lambda item: (-item[1], item[0]))
        examples = self.tokens.examples
        return {
            "examples": examples,
            "tokens": self.tokens.tokens,
            "used": self.used,
            "too_long": self.cut,
            "nothing": self.nothing,
            **({"unprompted": self.unprompted} if self.unprompted else {}),
            **({"lossy": self._lossy, "lost": dict(lost[:LOST])} if self._lossy else {}),
            **repeats,
            "labels": {name: self._labels[number] for name, number in numbers.items()},
            "lengths": percentiles(self.lengths) | {"histogram": histogram(self.lengths, ends)},
            "samples": np.unique(np.linspace(0, examples - 1, SAMPLES).astype(int)).tolist(),
        }
