"""How a step's examples are laid out as tensors: shared among processes, packed or padded, cut into micro-batches.

Nothing here changes what is learned: the same examples make the same step however they are laid out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch

from passingloop.data.examples.packed_rows import next_width, rows_of_step
from passingloop.data.examples.permutation import Indices
from passingloop.handoff import World
from passingloop.model.encoders.geometry import filled_length, unpadded_inputs
from passingloop.model.packed_attention import POSITIONS, PackedAttention
from passingloop.tasks.task import IGNORED, Examples, LearningTask
from passingloop.train.module import Batch

Row = list[int]
"""The examples in one row of a batch: one when padded, several when packed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Lays out the examples of one part.

    Args:
        tokens: the part.
        task: what is predicted.
        classes: how many names the task's head has.
        pad: the id that fills rows up.
        row_tokens: length of a packed row at most; None pads instead, one example a row.
        attention: what computes the attention of packed rows.
        pad_left: whether rows are filled up at their start, for models that read their result from the last position.
        batch_tokens: tokens in a micro-batch at most, padding included (a single row may be longer).
        batch_examples: examples in a micro-batch at most.
        multiple: rows are filled up to a multiple of this many tokens.
        statistics: what the task takes from the training data, where its losses are weighted by them.
        flat: whether the model computes without padding, be it by `passingloop.model.encoders.flat` or `.unpadded`.
        unpadded: whether the second needs to be told where the tokens stand.
        even: every process has as many micro-batches as the one with most, for models that are spread over the
            processes (`passingloop.model.sharding`).
    """

    tokens: Examples
    task: LearningTask
    pad: int
    row_tokens: int | None
    batch_tokens: int
    batch_examples: int | None = None
    multiple: int = 1
    statistics: torch.Tensor | None = None
    classes: int = 0
    even: bool = False
    pad_left: bool = False
    attention: PackedAttention = POSITIONS
    unpadded: bool = False
    flat: bool = False

    def step(self, examples: Indices, world: World) -> list[Batch]:
        """This process's micro-batches of a step. There is one at least, so that all processes take part."""
        return list(self._shared(examples, world, self.weight(examples) / world.size)) or [self._empty_batch(examples)]

    def batches(self, examples: Indices, world: World) -> Iterator[Batch]:
        """This process's share of `examples`, for evaluation. There is one batch at least."""
        batches = self._shared(examples, world, 1.0)
        yield next(batches, None) or self._empty_batch(examples)
        yield from batches

    def _shared(self, examples: Indices, world: World, normalizer: float) -> Iterator[Batch]:
        rows = self._rows(examples, world.size)
        yield from (self.batch(some, normalizer) for some in self._divide(rows[world.rank :: world.size]))
        if self.even:
            # Who has which examples follows from the settings, so nobody needs to be asked.
            counts = [sum(1 for _ in self._divide(rows[rank :: world.size])) for rank in range(world.size)]
            yield from repeat(self._empty_batch(examples), max(counts) - counts[world.rank])

    def _empty_batch(self, examples: Indices) -> Batch:
        """The shortest of `examples`, without a label that counts: its loss and all its gradients are 0."""
        batch = self.batch([[int(examples[np.argmin(self.tokens.lengths[examples])])]], 1.0)
        return {
            **batch,
            "labels": self.task.ignored_labels(batch["labels"]),
            "examples": torch.zeros(0, dtype=torch.int64),
            "tokens": 0,
        }

    def filling(self, batches: Sequence[Batch]) -> tuple[int, int]:
        """The tokens in some batches, and the places that the model computes for them."""
        return sum(batch["tokens"] for batch in batches), sum(batch["places"] for batch in batches)

    def weight(self, examples: Indices) -> float:
        """What the losses of `examples` are divided by."""
        return self.task.normalizer(self.tokens, examples, self.statistics)

    def micro_batches(self, examples: Indices) -> Iterator[list[Row]]:
        """The rows of each micro-batch of one process. Rows of like length stand together if `examples` do."""
        return self._divide(self._rows(examples, 1))

    def _rows(self, examples: Indices, processes: int) -> list[Row]:
        """The rows of all processes."""
        if not self.row_tokens or len(examples) == 0:
            return [[int(example)] for example in examples]
        packed = rows_of_step(self.tokens.lengths[examples], self.row_tokens, processes, self.multiple)
        return [examples[row].tolist() for row in packed]

    def _divide(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Micro-batches of `rows`."""
        gathered: list[Row] = []
        width = members = 0
        for row in rows:
            width, members = max(width, self._width([row])), members + len(row)
            if gathered and (
                width * (len(gathered) + 1) > self.batch_tokens or members > (self.batch_examples or members)
            ):
                yield gathered
                gathered, width, members = [], self._width([row]), len(row)
            gathered.append(row)
        if gathered:
            yield gathered

    def batch(self, rows: Sequence[Row], normalizer: float) -> Batch:
        """Tensors of `rows`."""
        width, tokens = self._width(rows), sum(map(self._length, rows))
        ids = np.full((len(rows), width), self.pad, np.int64)
        place = np.zeros((len(rows), width), np.int64)
        for line, row in enumerate(rows):
            start = width - self._length(row) if self.pad_left else 0
            for example in row:
                end = start + int(self.tokens.lengths[example])
                ids[line, start:end] = self.tokens.ids(example)
                place[line, start:end] = np.arange(end - start)
                start = end
            # Filling is a sequence of its own, so that packed attention keeps it apart.
            place[line, start:] = np.arange(width - start)
        batch: Batch = {
            "inputs": self._inputs(rows, ids, place),
            "labels": self.task.batch_labels(self.tokens, rows, width, self.classes),
            "examples": torch.tensor([example for row in rows for example in row]),
            "normalizer": normalizer,
            "tokens": tokens,
            "places": filled_length(tokens) if self.flat else ids.size,
        }
        if self.task.causal:
            batch["counted"] = _counted(batch["labels"])
        return batch

    def _inputs(self, rows: Sequence[Row], ids: Indices, place: Indices) -> dict[str, Any]:
        inputs: dict[str, Any] = {"input_ids": torch.from_numpy(ids)}
        if self.row_tokens:
            # Without a mask attention is quicker. Of one example a row the filling needs none, as nothing looks ahead,
            # but positions, if there are more than the model may have.
            alone = all(len(row) == 1 for row in rows) and ids.shape[1] <= self.row_tokens
            if self.attention is POSITIONS and alone:
                return inputs
            told = self.attention.arguments(self.sequence_lengths(rows, ids.shape[1]), ids.shape[1])
            return inputs | {"position_ids": torch.from_numpy(place)} | told
        kept = np.arange(ids.shape[1]) < np.array([self._length(row) for row in rows])[:, None]
        if self.pad_left:
            kept = kept[:, ::-1]
        if not kept.all():
            inputs["attention_mask"] = torch.from_numpy(kept.astype(np.int64))
        return inputs | {"flat_places": unpadded_inputs(kept)} if self.unpadded else inputs

    def sequence_lengths(self, rows: Sequence[Row], width: int) -> list[int]:
        """The lengths of all sequences in packed `rows` of `width` tokens, with those that fill rows up."""
        lengths: list[int] = []
        for row in rows:
            lengths += self.tokens.lengths[row].tolist()
            if room := width - self._length(row):
                lengths.append(room)
        return lengths

    def _length(self, row: Row) -> int:
        return int(self.tokens.lengths[row].sum())

    def _width(self, rows: Sequence[Row]) -> int:
        """Tokens in each row of a batch of `rows`."""
        longest = max(map(self._length, rows))
        width = next_width(longest, self.multiple) if self.row_tokens else longest
        most = max(longest, self.row_tokens or longest)
        return -(-min(width, most) // self.multiple) * self.multiple


def _counted(labels: torch.Tensor) -> torch.Tensor:
    """The places of labels that count, in few sizes: filled up with a place whose label does not."""
    flat = labels.flatten()
    places = (flat != IGNORED).nonzero()[:, 0]
    filling = int((flat == IGNORED).nonzero()[0])  # the last token of a sequence has none
    size = next_width(max(1, len(places)), 8)
    return torch.nn.functional.pad(places, (0, size - len(places)), value=filling)
