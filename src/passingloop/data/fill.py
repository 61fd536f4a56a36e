"""Reads every part of a source, checks and counts its examples, and writes their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from passingloop.config.build import did_you_mean
from passingloop.config.data import PARTS, DataConfig, Part
from passingloop.config.settings import Task
from passingloop.data.classes import in_order
from passingloop.data.encode import Encoder
from passingloop.data.source import Source
from passingloop.data.split import lowest, parts_of, text_hashes
from passingloop.data.tokens import Array, TokenWriter
from passingloop.errors import DataError

SHOWN = 5
"""How many names an error or note lists before it says how many more there are."""


def fill(
    folder: Path,
    task: Task,
    config: DataConfig,
    source: Source,
    encode: Encoder,
    vocabulary: int,
    notice: Callable[[str], None],
) -> dict[str, Any]:
    """Write the tokens of every part into `folder`; returns what ``meta.json`` says.

    Raises:
        DataError: a source cannot be read; a part has no usable example; there is one class only; a label occurs in
            validation or test that does not in training.
    """
    with ExitStack() as stack:
        filling = _Filling(folder, task, config, source, encode, vocabulary, stack)
        for part in source.parts():
            notice(f"Preparing {part} data")
            filling.read(part)
        return filling.finish()


class _Filling:
    """One pass over a source."""

    def __init__(
        self,
        folder: Path,
        task: Task,
        config: DataConfig,
        source: Source,
        encode: Encoder,
        vocabulary: int,
        stack: ExitStack,
    ) -> None:
        self._config, self._source, self._encode = config, source, encode
        self._classify = task == "classification"
        self._writers: dict[Part, TokenWriter] = {
            part: stack.enter_context(TokenWriter(folder / part, vocabulary)) for part in PARTS
        }
        self._labels: dict[str, int] = {}
        self._counts: dict[Part, Counter[str]] = {part: Counter() for part in PARTS}
        self._unknown: dict[Part, Counter[str]] = {part: Counter() for part in PARTS}

    def read(self, part: Part) -> None:
        """Read `part`; training data may fill several parts."""
        chosen = self._limited(part)
        for batch in self._source.read(part, _refuse):
            usable = self._usable(batch, self._counts[part])
            for target, mask in self._destinations(part, usable).items():
                rows = usable.filter(pa.array(mask))
                if chosen is not None:
                    rows = rows.filter(pa.array(np.isin(rows.column("row").to_numpy(), chosen[target])))
                if rows.num_rows:
                    self._write(target, rows)

    def finish(self) -> dict[str, Any]:
        """Check the whole, number the labels, and describe it."""
        filled = [part for part in PARTS if self._writers[part].examples]
        for part in self._source.parts():
            if part not in filled:
                raise DataError(f"The {part} data have no usable example. {' '.join(self._notes())}".strip())
        self._refuse_unknown_labels()
        names = self._number_labels() if self._classify else []
        return {
            "parts": {
                part: {"examples": self._writers[part].examples, "tokens": self._writers[part].tokens}
                for part in filled
            },
            "label_names": names,
            "notes": self._notes(),
        }

    def _limited(self, part: Part) -> dict[Part, Array] | None:
        """With `data.limit`, the rows to take for each part: those with the lowest hashes, after a first reading."""
        limit = self._config.limit
        if limit is None:
            return None
        found: dict[Part, list[tuple[Array, Array]]] = {target: [] for target in PARTS}
        for batch in self._source.read(part, _refuse):
            usable = self._usable(batch, Counter())
            hashes, rows = text_hashes(_texts(usable)), usable.column("row").to_numpy()
            for target, mask in self._destinations(part, usable).items():
                found[target].append((hashes[mask], rows[mask]))
        chosen: dict[Part, Array] = {}
        for target, pieces in found.items():
            hashes = np.concatenate([hashes for hashes, _ in pieces] or [np.zeros(0, np.uint64)])
            rows = np.concatenate([rows for _, rows in pieces] or [np.zeros(0, np.int64)])
            # The hashes already decided the part: mixed anew, they are again a fair sample of it.
            chosen[target] = rows[lowest(hashes * np.uint64(0x9E3779B97F4A7C15), limit)]
        return chosen

    def _destinations(self, part: Part, batch: pa.RecordBatch) -> dict[Part, Array]:
        if part != "train":
            return {part: np.ones(batch.num_rows, bool)}
        return parts_of(text_hashes(_texts(batch)), self._config, self._source.parts())

    def _usable(self, batch: pa.RecordBatch, counts: Counter[str]) -> pa.RecordBatch:
        """The rows that have something to learn from; the others are counted."""
        counts["read"] += batch.num_rows
        if "messages" in batch.schema.names:
            counts["empty"] += batch.column("messages").null_count
            return batch.filter(batch.column("messages").is_valid())
        there = pc.not_equal(pc.utf8_trim_whitespace(pc.fill_null(batch.column("text"), "")), "")
        counts["empty"] += batch.num_rows - pc.sum(there).as_py() if batch.num_rows else 0
        batch = batch.filter(there)
        if self._classify:
            labelled = pc.not_equal(pc.fill_null(batch.column("label"), ""), "")
            counts["unlabelled"] += batch.num_rows - pc.sum(labelled).as_py() if batch.num_rows else 0
            batch = batch.filter(labelled)
        return batch

    def _write(self, part: Part, batch: pa.RecordBatch) -> None:
        encoded = self._encode(batch)
        self._counts[part]["cut"] += encoded.cut
        self._counts[part]["nothing"] += encoded.empty
        rows = batch.column("row").to_numpy()[encoded.source]
        labels = self._label_ids(part, batch.column("label").to_pylist()) if self._classify else None
        self._writers[part].add(encoded.ids, encoded.targets, rows, labels, encoded.answers)

    def _label_ids(self, part: Part, labels: list[str]) -> Array:
        """Provisional numbers, in the order in which labels first appear in the training data."""
        if part in self._source.parts() and part != "train":
            self._unknown[part].update(label for label in labels if label not in self._labels)
        else:
            for label in labels:
                self._labels.setdefault(label, len(self._labels))
        return np.array([self._labels.get(label, -1) for label in labels])

    def _number_labels(self) -> list[str]:
        """Final numbers: labels in order, whole numbers by value."""
        names = in_order(self._labels)
        if len(names) < 2:
            raise DataError(
                f"The training data have a single class, {names[0]!r}. A classifier needs two classes at least."
            )
        new = np.empty(len(names), np.int64)
        new[[self._labels[name] for name in names]] = np.arange(len(names))
        for writer in self._writers.values():
            writer.relabel(new)
        return names

    def _refuse_unknown_labels(self) -> None:
        for part, unknown in self._unknown.items():
            if unknown:
                label, rows = unknown.most_common(1)[0]
                raise DataError(
                    f"The {part} data have {_listed([repr(name) for name in unknown])} as label, which the training "
                    f"data have not ({label!r}: {rows} rows).{did_you_mean(label, self._labels)} Correct the labels, "
                    f"or take these rows out of data.{part}."
                )

    def _notes(self) -> list[str]:
        words = {
            "empty": "empty examples dropped",
            "unlabelled": "texts without a label dropped",
            "nothing": "examples with nothing to predict dropped",
            "cut": "examples cut at data.max_length",
        }
        return [
            f"{part}: {self._counts[part][kind]:,} {text}."
            for part in PARTS
            for kind, text in words.items()
            if self._counts[part][kind]
        ]


def _refuse(problem: DataError) -> None:
    raise problem


def _texts(batch: pa.RecordBatch) -> list[str]:
    """What the hash of an example is taken of."""
    if "text" in batch.schema.names:
        return batch.column("text").to_pylist()  # type: ignore[no-any-return]
    return ["\0".join(f"{m['role']}\0{m['content']}" for m in chat) for chat in batch.column("messages").to_pylist()]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
