"""Counts examples that cannot be used, by kind, and records the places of the first ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from passingloop.config.data import PARTS, DataConfig, Part
from passingloop.data.rows.places import Pieces
from passingloop.data.source import Reject
from passingloop.errors import DataError
from passingloop.tasks.encoding import nonempty_mask
from passingloop.tasks.task import LearningTask

FaultKind = Literal["unparsable", "empty", "unlabelled", "mislabelled"]
FAULT_KINDS: Mapping[FaultKind, tuple[str, str]] = {
    "unparsable": ("line cannot be parsed", "lines cannot be parsed"),
    "empty": ("example has no text", "examples have no text"),
    "unlabelled": ("text has no label", "texts have no label"),
    "mislabelled": ("label cannot be used", "labels cannot be used"),
}
"""Why an example is left out: singular and plural, for messages."""

ALWAYS_COUNTED = ("unparsable", "empty", "unlabelled")
"""Kinds that ``meta.json`` has also if their count is 0."""

MAX_NAMED = 3
"""Examples of each kind per part whose places are recorded."""

MAX_CHARACTERS = 40
"""Characters of a text or label that a message shows."""


class Faults:
    """The examples that are left out of each part."""

    def __init__(self, task: LearningTask, config: DataConfig, pieces: Callable[[Part], Pieces]) -> None:
        """Args:
        pieces: gives the pieces of a part that have been read; see `Source.pieces`.
        """
        self._task, self._config, self._pieces = task, config, pieces
        self.counts: dict[Part, Counter[FaultKind]] = {part: Counter() for part in PARTS}
        self.read: Counter[Part] = Counter()
        """The number of lines or rows of each part that were read, with those that are left out."""
        self._places: dict[tuple[Part, FaultKind], list[str]] = {}

    def reject_callback(self, part: Part) -> Reject:
        """The callback for `Source.read` that counts lines which cannot be parsed."""

        def reject(problem: DataError) -> None:
            self.read[part] += 1
            self._count(part, "unparsable", 1)
            self._name_place(part, "unparsable", str(problem))

        return reject

    def usable_examples(self, part: Part, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The examples of `batch` that have a text or chat and, if the task needs one, a usable label. Counts the
        others."""
        self.read[part] += batch.num_rows
        return self._filter(part, batch)

    def sentences(self) -> list[str]:
        """A sentence for each part and kind, with its count."""
        return [
            f"{part}: {self.counts[part][kind]:,} {names[self.counts[part][kind] != 1]}."
            for part in PARTS
            for kind, names in FAULT_KINDS.items()
            if self.counts[part][kind]
        ]

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def error(self) -> DataError:
        """The error for `data.on_bad=fail`: all counts, and the places of the first examples."""
        named = [place for kinds in self._places.values() for place in kinds]
        bad = sum(sum(counts.values()) for counts in self.counts.values())
        more = f"\n  and {bad - len(named):,} more" if bad > len(named) else ""
        return DataError(
            f"{bad:,} of {self.read.total():,} examples cannot be used. {' '.join(self.sentences())}\n  "
            + "\n  ".join(named)
            + f"{more}\nCorrect them, or set data.on_bad=drop to go on without them."
        )

    def _filter(self, part: Part, batch: pa.RecordBatch) -> pa.RecordBatch:
        if "messages" in batch.schema.names:
            chats = batch.column("messages")
            nonempty = pc.and_kleene(pc.is_valid(chats), pc.cast(pc.list_value_length(chats), pa.bool_()))
            return self._filter_kind(part, "empty", batch, nonempty)
        batch = self._filter_kind(part, "empty", batch, nonempty_mask(batch.column("text")))
        has_label = self._task.label_mask(batch)
        if has_label is not None:
            batch = self._filter_kind(part, "unlabelled", batch, has_label)
        wrong_labels = self._task.wrong_labels(batch, self._config)
        usable = pa.array([place not in wrong_labels for place in range(batch.num_rows)]) if wrong_labels else None
        return (
            batch
            if usable is None
            else self._filter_kind(part, "mislabelled", batch, usable, list(wrong_labels.values()))
        )

    def _filter_kind(
        self, part: Part, kind: FaultKind, batch: pa.RecordBatch, usable: pa.Array, reasons: Sequence[str] = ()
    ) -> pa.RecordBatch:
        bad = usable.false_count
        if not bad:
            return batch
        self._count(part, kind, bad)
        for number, example in enumerate(batch.filter(pc.invert(usable)).slice(0, MAX_NAMED).to_pylist()):
            reason = reasons[number] if reasons else _reason(kind, example)
            self._name_place(part, kind, f"{self._pieces(part).place(example['row'])}: {reason}")
        return batch.filter(usable)

    def _count(self, part: Part, kind: FaultKind, number: int) -> None:
        self.counts[part][kind] += number

    def _name_place(self, part: Part, kind: FaultKind, place: str) -> None:
        named = self._places.setdefault((part, kind), [])
        if len(named) < MAX_NAMED:
            named.append(place)


def _reason(kind: FaultKind, example: Mapping[str, Any]) -> str:
    if kind == "unlabelled":
        return f"no label for {_excerpt(example['text'])}"
    if "messages" in example:
        return "no chat"
    return f"no text, label {_excerpt(example['label'])}" if example.get("label") else "no text"


def _excerpt(text: str | None) -> str:
    assert text
    return repr(text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…")
