"""Which examples make up optimizer step k: a pure function of (lengths, seed, k), the same for any number of processes.

An epoch is a permutation of the examples, cut into pools of some steps each. Within a pool the examples are sorted by
length and dealt out to its steps, so that a step's examples are of like length and need little padding. Then the
steps of the epoch are shuffled. Only the pool of the step that is asked for is looked at, so a run can start at any
step at once, however many examples there are (`passingloop.data.examples.permutation`).

Of several sources with weights an epoch takes w·n of the n examples of each. A source's examples come in rounds, each
of them a permutation of all, and an epoch goes on in the round where the one before left off: after any number of
epochs no example of a source has been taken more than once more often than another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passingloop.data.examples.permutation import Indices, key_of, permute

STEPS_PER_POOL = 64
"""A larger pool pads less and mixes lengths less. With 32 examples a step BANKING77 pads 5 %; pools of 32 steps would
pad 9 %, of 128 steps 3 %, the whole epoch as one pool 1 %."""

REMEMBERED = 1 << 22
"""Examples of an epoch up to which its pools are remembered until the next one, 8 bytes for each. Of a larger epoch a
pool is made anew for each of its steps, in 2 ms."""

_EXAMPLES, _STEPS, _SOURCES = 1, 2, 3  # what a permutation is of: distinct keys


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several sources adds to an epoch."""

    examples: int
    """How many it has; those of the first source come first, then those of the second, and so on."""

    weight: float = 1.0
    """How often an epoch takes each of them, on average."""

    @property
    def examples_per_epoch(self) -> int:
        """How many an epoch takes."""
        return max(1, round(self.examples * self.weight))


@dataclass(frozen=True, eq=False)
class BatchOrder:
    """The steps of a run.

    Args:
        lengths: tokens of each example, shape (n,), n ≥ 1.
        seed: fixes the order.
        batch_size: examples per step at most; an epoch's examples are dealt evenly, so that no step is a small rest.
        batch_tokens: tokens per step, about, instead of `batch_size`.
        shares: the sources that the examples come from; none if they are one whole.
    """

    lengths: NDArray[np.int32]
    seed: int
    batch_size: int | None = None
    batch_tokens: int | None = None
    shares: Sequence[Share] = ()

    def __post_init__(self) -> None:
        assert (self.batch_size is None) != (self.batch_tokens is None)
        assert len(self.lengths) > 0
        assert not self.shares or sum(share.examples for share in self.shares) == len(self.lengths)

    @cached_property
    def steps_per_epoch(self) -> int:
        """The same in every epoch."""
        if self.batch_size is not None:
            return -(-self._count // self.batch_size)
        assert self.batch_tokens is not None
        return max(1, min(self._count, self._tokens // self.batch_tokens))

    def step(self, k: int) -> Indices:
        """The examples of step `k` (from 0, over all epochs), shortest first."""
        epoch, position = divmod(k, self.steps_per_epoch)
        [step] = permute(np.array([position]), self.steps_per_epoch, key_of(self.seed, epoch, _STEPS))
        pool, place = divmod(int(step), STEPS_PER_POOL)
        return self._pool(epoch, pool)[place]

    def _pool(self, epoch: int, pool: int) -> list[Indices]:
        """The steps of one pool, each with its examples."""
        if self._count > REMEMBERED:
            return self._deal_pool(epoch, pool)
        if epoch not in self._pools:
            self._pools.clear()
        pools = self._pools.setdefault(epoch, {})
        if pool not in pools:
            pools[pool] = self._deal_pool(epoch, pool)
        return pools[pool]

    @cached_property
    def _pools(self) -> dict[int, dict[int, list[Indices]]]:
        """Those of one epoch that have been made."""
        return {}

    def _deal_pool(self, epoch: int, pool: int) -> list[Indices]:
        steps = self.steps_per_epoch
        first, last = pool * STEPS_PER_POOL, min((pool + 1) * STEPS_PER_POOL, steps)
        # Even cuts: every step of the epoch has ⌊n/steps⌋ or ⌈n/steps⌉ examples.
        cuts = [step * self._count // steps for step in range(first, last + 1)]
        members = self._examples(epoch, np.arange(cuts[0], cuts[-1]))
        lengths = self.lengths[members]
        by_length = np.argsort(lengths, kind="stable")
        if self.batch_tokens is not None:
            inner = _even_cuts(lengths[by_length], last - first)
        else:
            inner = np.asarray(cuts[1:-1]) - cuts[0]
        return np.split(members[by_length], inner)

    def _examples(self, epoch: int, places: Indices) -> Indices:
        """The examples at `places` of an epoch's order."""
        slots = permute(places, self._count, key_of(self.seed, epoch, _EXAMPLES))
        if not self.shares:
            return slots
        examples = np.empty_like(slots)
        first_slot = first_example = 0
        for number, share in enumerate(self.shares):
            mine = (slots >= first_slot) & (slots < first_slot + share.examples_per_epoch)
            drawn = self._draw(share, number, epoch * share.examples_per_epoch + slots[mine] - first_slot)
            examples[mine] = first_example + drawn
            first_slot, first_example = first_slot + share.examples_per_epoch, first_example + share.examples
        return examples

    def _draw(self, share: Share, number: int, turns: Indices) -> Indices:
        """Which of a source's examples its `turns`, counted over all epochs, fall on."""
        rounds, places = np.divmod(turns, share.examples)
        drawn = np.empty_like(turns)
        for round_number in np.unique(rounds):
            key = key_of(self.seed, int(round_number), _SOURCES + number)
            drawn[rounds == round_number] = permute(places[rounds == round_number], share.examples, key)
        return drawn

    @cached_property
    def _count(self) -> int:
        """Examples that an epoch takes."""
        return sum(share.examples_per_epoch for share in self.shares) or len(self.lengths)

    @cached_property
    def _tokens(self) -> int:
        """Tokens of an epoch, on average."""
        if not self.shares:
            return int(self.lengths.sum(dtype=np.int64))
        ends = np.cumsum([share.examples for share in self.shares])
        sums = [int(part.sum(dtype=np.int64)) for part in np.split(self.lengths, ends[:-1])]
        return sum(n * share.examples_per_epoch // share.examples for n, share in zip(sums, self.shares, strict=True))


def _even_cuts(lengths: NDArray[np.int32], parts: int) -> Indices:
    """Where to cut so that each part has about the same number of tokens, and at least one example."""
    before = np.cumsum(lengths, dtype=np.int64)
    cuts = np.searchsorted(before, before[-1] * np.arange(1, parts) / parts, side="left") + 1
    place = np.arange(1, parts)
    cuts = np.maximum.accumulate(np.maximum(cuts - place, 0)) + place  # strictly rising, from 1
    rising: Indices = np.minimum(cuts, len(lengths) - parts + place)
    return rising
