"""Examples that cannot be used: each kind counted, the first few of each named."""

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

Kind = Literal["unparsable", "empty", "unlabelled", "mislabelled"]
KINDS: Mapping[Kind, tuple[str, str]] = {
    "unparsable": ("line cannot be parsed", "lines cannot be parsed"),
    "empty": ("example has no text", "examples have no text"),
    "unlabelled": ("text has no label", "texts have no label"),
    "mislabelled": ("label cannot be used", "labels cannot be used"),
}
"""Why something is left out; of one and of several."""

COUNTED = ("unparsable", "empty", "unlabelled")
"""Kinds that ``meta.json`` counts also where there are none."""

NAMED = 3
"""How many of each kind are named, per part."""

SHOWN = 40
"""Characters of a text or label in a message."""


class Faults:
    """Counts what is left out of each part."""

    def __init__(self, task: LearningTask, config: DataConfig, pieces: Callable[[Part], Pieces]) -> None:
        """Args:
        pieces: tells where the rows of a part come from that have been read; see `Source.pieces`.
        """
        self._task, self._config, self._pieces = task, config, pieces
        self.counts: dict[Part, Counter[Kind]] = {part: Counter() for part in PARTS}
        self.read: Counter[Part] = Counter()
        """Lines or rows of each part that the source has read, good or bad."""
        self._places: dict[tuple[Part, Kind], list[str]] = {}

    def reject_callback(self, part: Part) -> Reject:
        """What `Source.read` is given for a line that cannot be parsed."""

        def reject(problem: DataError) -> None:
            self.read[part] += 1
            self._count(part, "unparsable", 1)
            self._name(part, "unparsable", str(problem))

        return reject

    def usable_examples(self, part: Part, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The examples of `batch` that have a text or chat and, where the task needs one, a label that can be used."""
        self.read[part] += batch.num_rows
        return self._filter(part, batch)

    def sentences(self) -> list[str]:
        """One for each part and kind: how many."""
        return [
            f"{part}: {self.counts[part][kind]:,} {words[self.counts[part][kind] != 1]}."
            for part in PARTS
            for kind, words in KINDS.items()
            if self.counts[part][kind]
        ]

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def error(self) -> DataError:
        """What to say where nothing may be bad: all counts, and the first few places."""
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
            there = pc.greater(pc.fill_null(pc.list_value_length(batch.column("messages")), 0), 0)
            return self._filter_kind(part, "empty", batch, there)
        batch = self._filter_kind(part, "empty", batch, nonempty_mask(batch.column("text")))
        labelled = self._task.label_mask(batch)
        if labelled is not None:
            batch = self._filter_kind(part, "unlabelled", batch, labelled)
        wrong = self._task.wrong_labels(batch, self._config)
        right = pa.array([place not in wrong for place in range(batch.num_rows)]) if wrong else None
        return batch if right is None else self._filter_kind(part, "mislabelled", batch, right, list(wrong.values()))

    def _filter_kind(
        self, part: Part, kind: Kind, batch: pa.RecordBatch, there: pa.Array, why: Sequence[str] = ()
    ) -> pa.RecordBatch:
        bad = there.false_count
        if not bad:
            return batch
        self._count(part, kind, bad)
        for number, example in enumerate(batch.filter(pc.invert(there)).slice(0, NAMED).to_pylist()):
            reason = why[number] if why else _reason(kind, example)
            self._name(part, kind, f"{self._pieces(part).place(example['row'])}: {reason}")
        return batch.filter(there)

    def _count(self, part: Part, kind: Kind, number: int) -> None:
        self.counts[part][kind] += number

    def _name(self, part: Part, kind: Kind, place: str) -> None:
        named = self._places.setdefault((part, kind), [])
        if len(named) < NAMED:
            named.append(place)


def _reason(kind: Kind, example: Mapping[str, Any]) -> str:
    if kind == "unlabelled":
        return f"no label for {_excerpt(example['text'])}"
    if "messages" in example:
        return "no chat"
    return f"no text, label {_excerpt(example['label'])}" if example.get("label") else "no text"


def _excerpt(text: str | None) -> str:
    assert text
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
