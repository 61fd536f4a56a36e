"""Writes one part: its tokens, its repeated texts and its counts."""

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
from passingloop.data.prepare.repeats import RepeatWriter, count_repeats, same_labels
from passingloop.tasks.encoding import Encoded
from passingloop.tasks.task import Labels

SAMPLES = 3
"""Examples that are shown to people."""


class PartWriter:
    """Takes the examples of a part, batch by batch."""

    def __init__(self, folder: Path, vocabulary: int, stack: ExitStack) -> None:
        self.tokens = stack.enter_context(TokenWriter(folder, vocabulary))
        self.lengths: Counter[int] = Counter()
        """How many texts have each number of tokens, before anything is cut off."""
        self.cut = self.nothing = 0
        self._folder = folder
        self._texts = stack.enter_context(RepeatWriter(folder))
        self._labels: Counter[int] = Counter()

    def add(self, encoded: Encoded, rows: Array, hashes: Hashes, labels: Labels | None, ids: Array | None) -> None:
        """Append what a batch has become.

        Args:
            rows, hashes, labels: of each row of the batch.
            ids: numbers of the classes that `labels` names.
        """
        counts, numbers = (labels.counts, labels.numbers) if labels else (None, None)
        self.cut += encoded.cut
        self.nothing += encoded.empty
        self.lengths.update(encoded.lengths.tolist())
        self._texts.add(hashes, ids if counts is None and numbers is None else same_labels(ids, counts, numbers))
        if ids is not None:
            self._labels.update(ids.tolist())
        self.tokens.add(encoded.ids, encoded.targets, rows[encoded.source], ids, encoded.answers, counts, numbers)

    @property
    def used(self) -> int:
        """Rows that have become examples, or could have."""
        return self.lengths.total()

    def summary(self, train: PartWriter | None, ends: list[int], numbers: Mapping[str, int]) -> dict[str, Any]:
        """What ``meta.json`` says of it.

        Args:
            train: the training data; None if this is them.
            ends: the bins of the histogram.
            numbers: those that the classes came with, in the order in which they are to be shown.
        """
        for part in (self, train) if train else (self,):
            part._texts.flush()
        repeats = asdict(count_repeats(self._folder, [train._folder] if train else []))
        examples = self.tokens.examples
        return {
            "examples": examples,
            "tokens": self.tokens.tokens,
            "used": self.used,
            "too_long": self.cut,
            "nothing": self.nothing,
            **repeats,
            "labels": {name: self._labels[number] for name, number in numbers.items()},
            "lengths": percentiles(self.lengths) | {"histogram": histogram(self.lengths, ends)},
            "samples": np.unique(np.linspace(0, examples - 1, SAMPLES).astype(int)).tolist(),
        }
