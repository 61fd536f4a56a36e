"""Reads all parts of a source, checks and counts their examples, and writes their tokens."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passingloop.config.data import PARTS, DataConfig, Part
from passingloop.config.settings import Task
from passingloop.data.examples.tokens import Array
from passingloop.data.prepare.classes import sort_labels
from passingloop.data.prepare.equality import Hashes, example_hashes
from passingloop.data.prepare.lengths import bins
from passingloop.data.prepare.notes import no_usable_example, notes
from passingloop.data.prepare.part import PartWriter
from passingloop.data.prepare.similar_labels import LabelNumbers, combined_setting, distinct_numbers, folded_sentences
from passingloop.data.prepare.split import LowestHashes, part_masks
from passingloop.data.rows.chats import written_texts
from passingloop.data.rows.faults import ALWAYS_COUNTED, FAULT_KINDS, Faults
from passingloop.data.source import Source
from passingloop.tasks.encoding import Tokenizer, largest_id
from passingloop.tasks.lost_characters import LostCharacters
from passingloop.tasks.task import learning_task


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The settings by which examples become tokens."""

    task: Task
    config: DataConfig
    tokenizer: Tokenizer
    max_length: int
    """Tokens per example at most."""
    date: datetime.date | None = None
    """What the chat template writes as the current date; None if it writes none."""


def write_parts(folder: Path, recipe: Recipe, source: Source, notice: Callable[[str], None]) -> dict[str, Any]:
    """Write the tokens of all parts into `folder`, and return the content of ``meta.json``.

    Raises:
        DataError: the source cannot be read; it has bad examples and `data.on_bad` is fail; a part has no usable
            example.
    """
    with ExitStack() as stack:
        writer = _PartsWriter(folder, recipe, source, stack)
        for part in source.parts():
            notice(f"Preparing {part} data")
            writer.read(part)
        return writer.finish()


class _PartsWriter:
    """Reads the parts of one source, and writes their examples to the parts that they belong to."""

    def __init__(self, folder: Path, recipe: Recipe, source: Source, stack: ExitStack) -> None:
        self._config, self._task, self._source = recipe.config, learning_task(recipe.task), source
        self._folder, self._max_length = folder, recipe.max_length
        self._encode = self._task.encoder(recipe.tokenizer, recipe.max_length)
        self._lost = LostCharacters.of(recipe.tokenizer.backend_tokenizer)
        largest = largest_id(recipe.tokenizer)
        self._parts = {part: PartWriter(folder / part, largest, stack) for part in PARTS}
        self._faults = Faults(self._task, self._config, source.pieces)
        self._folds = combined_setting([recipe.config]) == "fold"
        self._labels = LabelNumbers(fold=self._folds)

    def read(self, part: Part) -> None:
        """Read `part` of the source. Training data may be split into several parts."""
        chosen = self._limited_examples(part)
        for first, usable in self._usable_batches(part, self._faults):
            if self._has_refused_faults:
                continue  # the preparation will fail; the rest is only read to count the faults
            for target, selected, hashes in self._destinations(part, usable, first, chosen):
                self._write_batch(part, target, usable.filter(pa.array(selected)), hashes[selected])

    def finish(self) -> dict[str, Any]:
        """Check that all parts have examples, number the labels, and return the content of ``meta.json``."""
        if self._has_refused_faults:
            raise self._faults.error()
        filled = {part: writer for part, writer in self._parts.items() if writer.tokens.examples}
        for part in self._source.parts():
            if part not in filled:
                dropped = self._faults.counts[part] | Counter(nothing=self._parts[part].nothing)
                raise no_usable_example(part, dropped)
        labels = self._labels.names()
        names = self._number_labels(labels)
        numbers = {name: labels[name] for name in names}
        ends = bins([writer.lengths for writer in filled.values()], self._max_length)
        parts: dict[str, Any] = {part: self._summary(part, ends, numbers) for part in filled}
        for part in filled:
            source_part = part if part in self._source.parts() else "train"
            self._source.pieces(source_part).write(self._folder / part)
        return {
            "max_length": self._max_length,
            "bins": ends,
            "parts": parts,
            "label_names": names,
            "notes": [*notes(parts), *folded_sentences(self._labels.spellings())],
        } | self._answer_ends()

    def _answer_ends(self) -> dict[str, list[int]]:
        """For chats, the tokens that end answers."""
        ends = set[int]().union(*(writer.answer_ends for writer in self._parts.values()))
        return {} if self._config.chat_column is None else {"answer_ends": sorted(ends)}

    @property
    def _has_refused_faults(self) -> bool:
        """Whether there are bad examples, and `data.on_bad` does not allow them."""
        return self._config.on_bad == "fail" and bool(self._faults)

    def _summary(self, part: Part, ends: list[int], numbers: dict[str, int]) -> dict[str, Any]:
        train = self._parts["train"] if part != "train" else None
        read = self._faults.read[part] if part in self._source.parts() else None
        bad = {
            kind: self._faults.counts[part][kind]
            for kind in FAULT_KINDS
            if kind in ALWAYS_COUNTED or self._faults.counts[part][kind]
        }
        return {"read": read} | bad | self._parts[part].summary(train, ends, numbers)

    def _limited_examples(self, part: Part) -> dict[Part, Array] | None:
        """With `data.limit`, the numbers of the examples to take for each part: those with the lowest hashes."""
        if self._config.limit is None:
            return None
        lowest = {target: LowestHashes(self._config.limit) for target in PARTS}
        # Not kept: the faults are counted when the part is read again.
        faults = Faults(self._task, self._config, self._source.pieces)
        for first, usable in self._usable_batches(part, faults):
            for target, selected, hashes in self._destinations(part, usable, first, None):
                lowest[target].add(hashes[selected], first + np.flatnonzero(selected))
        return {target: hashes.rows() for target, hashes in lowest.items()}

    def _usable_batches(self, part: Part, faults: Faults) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The usable examples of `part` in batches, each with the number of usable examples before it."""
        first = 0
        for batch in self._source.read(part, faults.reject_callback(part)):
            usable = faults.usable_examples(part, batch)
            yield first, usable
            first += usable.num_rows

    def _destinations(
        self, part: Part, batch: pa.RecordBatch, first: int, chosen: dict[Part, Array] | None
    ) -> Iterator[tuple[Part, NDArray[np.bool_], Hashes]]:
        """The parts that examples of `batch` belong to, each with a mask of its examples, and the hashes of all.

        Args:
            first: the number of the batch's first example among the usable ones.
            chosen: the numbers of the examples that each part may get; None: all.
        """
        hashes = example_hashes(batch)
        numbers = np.arange(first, first + batch.num_rows)
        for target, mask in self._masks(part, hashes).items():
            selected = mask if chosen is None else mask & _chosen_mask(numbers, chosen[target])
            if selected.any():
                yield target, selected, hashes

    def _masks(self, part: Part, hashes: Hashes) -> dict[Part, Array]:
        if part != "train":
            return {part: np.ones(len(hashes), bool)}
        return part_masks(hashes, self._config, self._source.parts())

    def _write_batch(self, part: Part, target: Part, batch: pa.RecordBatch, hashes: Hashes) -> None:
        """Write examples of `part` of the source to `target`."""
        encoded = self._encode(batch)
        if self._lost:
            self._parts[target].add_lost(*self._lost.count(written_texts(batch)))
        if encoded.refused:
            self._faults.refuse(part, batch, encoded.refused)
            hashes = np.delete(hashes, list(encoded.refused))
        labels = self._task.labels(batch, self._config)
        ids = None if labels is None or labels.names is None else self._labels.numbers(labels.names)
        if self._folds and labels is not None and labels.counts is not None and ids is not None:
            ids, counts = distinct_numbers(ids, labels.counts)
            labels = replace(labels, counts=counts)
        self._parts[target].add(encoded, batch.column("row").to_numpy(), hashes, labels, ids)

    def _number_labels(self, labels: dict[str, int]) -> list[str]:
        """Give the labels their final numbers, in sorted order; returns the sorted labels.

        Args:
            labels: with their provisional numbers.
        """
        names = sort_labels(labels)
        new = np.empty(len(names), np.int64)
        new[[labels[name] for name in names]] = np.arange(len(names))
        for writer in self._parts.values():
            writer.tokens.relabel(new)
        return names


def _chosen_mask(numbers: Array, chosen: Array) -> Array:
    """A mask of the `numbers` that are in `chosen`; both are sorted."""
    first, last = np.searchsorted(chosen, [numbers[0], numbers[-1] + 1]) if len(numbers) else (0, 0)
    return np.isin(numbers, chosen[first:last])
