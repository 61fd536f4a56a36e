"""The data of a run, from one source or a mix of several, each of which is prepared by itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passingloop.config.data import PARTS, Part, SimilarLabels
from passingloop.data.examples.order import Share
from passingloop.data.examples.tokens import Array, Tokens, offsets
from passingloop.data.prepare.classes import classes_of, label_counts
from passingloop.data.prepare.pipeline import Prepared
from passingloop.data.prepare.similar_labels import check_similar_labels
from passingloop.data.rows.places import Place
from passingloop.tasks.task import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The data of a run, and how much of each source an epoch takes."""

    parts: Mapping[Part, Examples]
    label_names: list[str]
    """Name of each class; empty without classes."""
    shares: Sequence[Share]
    """The share of each source in an epoch; empty if an epoch takes every example once."""
    notes: Sequence[str]
    """Sentences about dropped, cut and repeated examples."""


def single_source_data(prepared: Prepared, fewest_classes: int = 2, similar_labels: SimilarLabels = "refuse") -> Data:
    """The data of a single source.

    Args:
        fewest_classes: the least number of classes, for a task with classes.
        similar_labels: what is done with labels that look alike.

    Raises:
        DataError: see `classes_of` and `check_similar_labels`.
    """
    notes = _check_labels([prepared], similar_labels)
    names, _ = classes_of([prepared.meta["parts"]], fewest_classes)
    return Data(parts=prepared.parts, label_names=names, shares=(), notes=[*prepared.notes, *notes])


def mixed_data(
    sources: Mapping[str, Prepared],
    weights: Mapping[str, float],
    fewest_classes: int = 2,
    similar_labels: SimilarLabels = "refuse",
) -> Data:
    """The data of several sources. A source alone may have a single class, or validation data with a class that only
    another source's training data have.

    Args:
        weights: by the name of the source; 1 if missing. Empty: an epoch takes every example once.
        fewest_classes: the least number of classes that they must have together, for a task with classes.
        similar_labels: what is done with labels that look alike.

    Raises:
        DataError: see `classes_of` and `check_similar_labels`.
    """
    notes = _check_labels(list(sources.values()), similar_labels)
    parts = [prepared.meta["parts"] for prepared in sources.values()]
    names, number_of = classes_of(parts, fewest_classes, fold=similar_labels == "fold")
    numbers = {
        source: np.array([number_of[name] for name in prepared.label_names], np.int32)
        for source, prepared in sources.items()
    }
    tokens_by_part = {part: {name: p.parts[part] for name, p in sources.items() if part in p.parts} for part in PARTS}
    return Data(
        parts={part: MixedTokens(tokens, numbers) for part, tokens in tokens_by_part.items() if tokens},
        label_names=names,
        shares=[Share(len(tokens), weights.get(name, 1.0)) for name, tokens in tokens_by_part["train"].items()]
        if weights
        else [],
        notes=[*(f"{name}: {note}" for name, prepared in sources.items() for note in prepared.notes), *notes],
    )


def _check_labels(sources: Sequence[Prepared], setting: SimilarLabels) -> list[str]:
    """Sentences on labels that look alike.

    Raises:
        DataError: see `check_similar_labels`.
    """
    counts = label_counts([prepared.meta["parts"] for prepared in sources])
    return check_similar_labels(counts, setting, [(prepared.parts, prepared.label_names) for prepared in sources])


class MixedTokens:
    """The examples of one part of several sources, source by source, as `passingloop.tasks.task.Examples`.

    Args:
        tokens: the part of each source.
        numbers: for each source an array that maps its numbers of classes to those in the mix.
    """

    def __init__(self, tokens: Mapping[str, Tokens], numbers: Mapping[str, Array]) -> None:
        self._tokens = list(tokens.values())
        ends = np.cumsum([len(part) for part in self._tokens]).tolist()
        self._firsts = [0, *ends[:-1]]
        self.sources = {name: range(*ends) for name, *ends in zip(tokens, self._firsts, ends, strict=True)}
        self.lengths: NDArray[np.int32] = np.concatenate([part.lengths for part in self._tokens])
        self.targets: NDArray[np.int32] = np.concatenate([part.targets for part in self._tokens])
        labels = [_renumber(part.labels, numbers[name]) for name, part in tokens.items() if part.labels is not None]
        self.labels: NDArray[Any] | None = np.concatenate(labels) if labels else None
        counts = [np.diff(part.label_starts) for part in self._tokens if part.label_starts is not None]
        self.label_starts: NDArray[np.int64] | None = offsets(np.concatenate(counts)) if counts else None

    def __len__(self) -> int:
        return len(self.lengths)

    def ids(self, example: int) -> Array:
        """Token ids of one example, shape (length,)."""
        tokens, number = self._locate(example)
        return tokens.ids(number)

    def answers(self, example: int) -> Array | None:
        """Where the loss counts in one example, shape (length,); None means everywhere."""
        tokens, number = self._locate(example)
        return tokens.answers(number)

    def place(self, example: int) -> Place:
        """The file and line, or the row of a query or split, of an example."""
        tokens, number = self._locate(example)
        return tokens.place(number)

    def _locate(self, example: int) -> tuple[Tokens, int]:
        """The tokens of the source that has an example, and the example's number in it."""
        source = bisect_right(self._firsts, example) - 1
        return self._tokens[source], example - self._firsts[source]


def _renumber(labels: Array, numbers: Array) -> Array:
    """Labels with the numbers of classes in the mix. Numbers of a regression are returned as they are."""
    return labels if labels.dtype == np.float64 else numbers[labels]
