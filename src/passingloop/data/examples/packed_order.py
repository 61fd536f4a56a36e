"""The examples of each step where several share a row: an epoch is packed into rows, and a step is some of its rows.

With `batch_tokens` all examples of an epoch are packed at once, the rows are permuted, and divided evenly among the
steps. Which lengths share a row is the same in every epoch; which examples of these lengths do is drawn in each. An
epoch of many examples is packed in parts, each of which is a random share of its examples.

With `batch_size` a step has so many examples, whatever their lengths. Then the examples of a pool are dealt to its
steps so that all steps have about the same tokens, from long and short examples alike, and each step is packed by
itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from passingloop.data.examples.order import STEPS_PER_POOL, BatchOrder
from passingloop.data.examples.packed_rows import Rows, best_fit, count_rows, next_width, previous_width
from passingloop.data.examples.permutation import Indices, key_of, permute

EXAMPLES_PER_PART = 1 << 20
"""Examples that are packed at once, in about 0.3 s and 60 MB. A larger part leaves no fewer rows half full."""

_ROWS = 1 << 32  # part of the key of a permutation of rows; those of `passingloop.data.examples.order` are smaller


@dataclass(frozen=True, eq=False)
class PackedOrder(BatchOrder):
    """The examples of each step of a run, those of a row one after another.

    Args:
        row_tokens: tokens in a row at most; as many as the longest example has, or more.
    """

    row_tokens: int = field(kw_only=True)

    @cached_property
    def steps_per_epoch(self) -> int:
        """The number of steps, which is the same in every epoch."""
        if self.batch_size is not None:
            return super().steps_per_epoch
        assert self.batch_tokens is not None
        rows = count_rows(self._lengths_per_epoch, self.capacity)
        return max(1, min(rows, self._examples_per_epoch, -(-rows * self.capacity // self.batch_tokens)))

    @cached_property
    def capacity(self) -> int:
        """Tokens in a row of the plan: `row_tokens`, or less, if so the rows of a step have just `batch_tokens`."""
        assert self.batch_tokens is not None
        even = self.batch_tokens // -(-self.batch_tokens // self.row_tokens)
        width = even if even == self.row_tokens else previous_width(even)
        return max(width, min(self.row_tokens, next_width(int(self.lengths.max()))))

    def step(self, k: int) -> Indices:
        """The numbers of the examples of step `k`, counted from 0 over all epochs, row after row."""
        if self.batch_size is not None:
            return super().step(k)
        epoch, step = divmod(k, self.steps_per_epoch)
        part = next(part for part in range(self._parts) if step < self._first_step(part + 1))
        first, last = self._first_step(part), self._first_step(part + 1)
        rows, order = self._plan(epoch, part)
        place, steps = step - first, last - first
        if len(rows) < steps:  # in an epoch of a mix that happens to need fewer rows than on average
            return rows.members[place * len(rows.members) // steps : (place + 1) * len(rows.members) // steps]
        mine = order[place * len(rows) // steps : (place + 1) * len(rows) // steps]
        return np.concatenate([rows.row(int(number)) for number in mine])

    def _plan(self, epoch: int, part: int) -> tuple[Rows, Indices]:
        """The rows of a part of an epoch, and the order in which they are taken."""
        if (epoch, part) not in self._cached_plans:
            self._cached_plans.clear()
            steps, count = self.steps_per_epoch, self._examples_per_epoch
            cuts = [self._first_step(number) * count // steps for number in (part, part + 1)]
            members = self._examples_at(epoch, np.arange(*cuts))
            rows = best_fit(self.lengths[members], self.capacity)
            order = permute(np.arange(len(rows)), len(rows), key_of(self.seed, epoch, _ROWS + part))
            self._cached_plans[epoch, part] = Rows(members[rows.members], rows.starts), order
        return self._cached_plans[epoch, part]

    @cached_property
    def _cached_plans(self) -> dict[tuple[int, int], tuple[Rows, Indices]]:
        """The part that was computed last, by epoch and number."""
        return {}

    @cached_property
    def _parts(self) -> int:
        """The number of parts in which an epoch is packed."""
        return min(self.steps_per_epoch, -(-self._examples_per_epoch // EXAMPLES_PER_PART))

    def _first_step(self, part: int) -> int:
        return part * self.steps_per_epoch // self._parts

    @cached_property
    def _lengths_per_epoch(self) -> Indices:
        """How many examples of each length an epoch takes, on average."""
        if not self.shares:
            return np.bincount(self.lengths)
        ends = np.cumsum([share.examples for share in self.shares])
        counts = np.zeros(int(self.lengths.max()) + 1)
        for share, part in zip(self.shares, np.split(self.lengths, ends[:-1]), strict=True):
            counts += np.bincount(part, minlength=len(counts)) * share.examples_per_epoch / share.examples
        return np.ceil(counts).astype(np.int64)

    def _deal_pool(self, epoch: int, pool: int) -> list[Indices]:
        """The examples of each step of one pool: of all lengths, and about as many tokens in each step."""
        steps, count = self.steps_per_epoch, self._examples_per_epoch
        first, last = pool * STEPS_PER_POOL, min((pool + 1) * STEPS_PER_POOL, steps)
        cuts = np.array([step * count // steps for step in range(first, last + 1)])
        members = self._examples_at(epoch, np.arange(cuts[0], cuts[-1]))
        longest_first = members[np.argsort(-self.lengths[members], kind="stable")]
        sizes = np.diff(cuts)
        rounds = int(sizes.min())
        dealt = longest_first[: rounds * len(sizes)].reshape(rounds, len(sizes))
        dealt[1::2] = dealt[1::2, ::-1].copy()  # who was last is first in the next round
        left, takers = longest_first[dealt.size :], np.flatnonzero(sizes > rounds)
        return [np.concatenate([dealt[:, step], left[takers == step]]) for step in range(len(sizes))]
