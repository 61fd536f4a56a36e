"""Which examples make up optimizer step k: a pure function of (lengths, seed, k), the same for any number of processes.

An epoch is a permutation of the examples, which is divided into pools of `STEPS_PER_POOL` steps. The examples of a pool
are sorted by length and then divided into its steps, so that the examples of a step have similar lengths and need
little padding. The steps of the epoch are then permuted. Only one pool is computed to find a step, so a run can start
at any step without delay, however many examples there are (`passingloop.data.examples.permutation`).

With several sources and weights, an epoch takes w·n of the n examples of each source. A source's examples are taken in
rounds, each of which is a permutation of all of them, and an epoch continues the round that the previous epoch did not
finish. So the numbers of times that two examples of a source have been taken never differ by more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passingloop.data.examples.permutation import Indices, key_of, permute

STEPS_PER_POOL = 64
"""Steps in a pool. A larger pool needs less padding, but its steps differ more in length. BANKING77 with 32 examples
per step has 5 % padding; it would be 9 % with 32 steps per pool, 3 % with 128, 1 % with the whole epoch as one pool."""

MAX_CACHED_EXAMPLES = 1 << 22
"""The largest epoch, in examples, whose pools are kept in memory, 8 bytes per example. In a larger epoch a pool is
computed again for each of its steps, in 2 ms."""

_EXAMPLES, _STEPS, _SOURCES = 1, 2, 3  # part of the key of a permutation, by what is permuted


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one source in an epoch."""

    examples: int
    """The number of its examples. The numbers of a source's examples follow those of the source before it."""

    weight: float = 1.0
    """How many times an epoch takes each example, on average."""

    @property
    def examples_per_epoch(self) -> int:
        """The number of examples that an epoch takes from this source."""
        return max(1, round(self.examples * self.weight))


@dataclass(frozen=True, eq=False)
class BatchOrder:
    """The examples of each step of a run.

    Args:
        lengths: tokens of each example, shape (n,), n ≥ 1.
        seed: determines the order.
        batch_size: examples per step at most. All steps of an epoch have the same number, or one less.
        batch_tokens: approximate tokens per step, instead of `batch_size`.
        shares: the sources of the examples; empty if there is one.
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
        """The number of steps, which is the same in every epoch."""
        if self.batch_size is not None:
            return -(-self._examples_per_epoch // self.batch_size)
        assert self.batch_tokens is not None
        return max(1, min(self._examples_per_epoch, self._tokens_per_epoch // self.batch_tokens))

    def step(self, k: int) -> Indices:
        """The numbers of the examples of step `k`, counted from 0 over all epochs; the shortest example is first."""
        epoch, position = divmod(k, self.steps_per_epoch)
        [step] = permute(np.array([position]), self.steps_per_epoch, key_of(self.seed, epoch, _STEPS))
        pool, place = divmod(int(step), STEPS_PER_POOL)
        return self._pool(epoch, pool)[place]

    def _pool(self, epoch: int, pool: int) -> list[Indices]:
        """The examples of each step of one pool."""
        if self._examples_per_epoch > MAX_CACHED_EXAMPLES:
            return self._deal_pool(epoch, pool)
        if epoch not in self._cached_pools:
            self._cached_pools.clear()
        pools = self._cached_pools.setdefault(epoch, {})
        if pool not in pools:
            pools[pool] = self._deal_pool(epoch, pool)
        return pools[pool]

    @cached_property
    def _cached_pools(self) -> dict[int, dict[int, list[Indices]]]:
        """The pools of one epoch that have been computed, by epoch and number."""
        return {}

    def _deal_pool(self, epoch: int, pool: int) -> list[Indices]:
        steps = self.steps_per_epoch
        first, last = pool * STEPS_PER_POOL, min((pool + 1) * STEPS_PER_POOL, steps)
        # Even cuts: every step of the epoch has ⌊n/steps⌋ or ⌈n/steps⌉ examples.
        cuts = [step * self._examples_per_epoch // steps for step in range(first, last + 1)]
        members = self._examples_at(epoch, np.arange(cuts[0], cuts[-1]))
        lengths = self.lengths[members]
        by_length = np.argsort(lengths, kind="stable")
        if self.batch_tokens is not None:
            pool_cuts = _cuts_by_tokens(lengths[by_length], last - first)
        else:
            pool_cuts = np.asarray(cuts[1:-1]) - cuts[0]
        return np.split(members[by_length], pool_cuts)

    def _examples_at(self, epoch: int, places: Indices) -> Indices:
        """The examples at `places` in the epoch's permutation."""
        slots = permute(places, self._examples_per_epoch, key_of(self.seed, epoch, _EXAMPLES))
        if not self.shares:
            return slots
        examples = np.empty_like(slots)
        first_slot = first_example = 0
        for number, share in enumerate(self.shares):
            in_share = (slots >= first_slot) & (slots < first_slot + share.examples_per_epoch)
            drawn = self._draw(share, number, epoch * share.examples_per_epoch + slots[in_share] - first_slot)
            examples[in_share] = first_example + drawn
            first_slot, first_example = first_slot + share.examples_per_epoch, first_example + share.examples
        return examples

    def _draw(self, share: Share, number: int, turns: Indices) -> Indices:
        """The examples of a source that are taken at `turns`, which count what is taken from it over all epochs."""
        rounds, places = np.divmod(turns, share.examples)
        drawn = np.empty_like(turns)
        for round_number in np.unique(rounds):
            key = key_of(self.seed, int(round_number), _SOURCES + number)
            drawn[rounds == round_number] = permute(places[rounds == round_number], share.examples, key)
        return drawn

    @cached_property
    def _examples_per_epoch(self) -> int:
        """The number of examples that an epoch takes."""
        return sum(share.examples_per_epoch for share in self.shares) or len(self.lengths)

    @cached_property
    def _tokens_per_epoch(self) -> int:
        """The average number of tokens of an epoch."""
        if not self.shares:
            return int(self.lengths.sum(dtype=np.int64))
        ends = np.cumsum([share.examples for share in self.shares])
        sums = [int(part.sum(dtype=np.int64)) for part in np.split(self.lengths, ends[:-1])]
        return sum(n * share.examples_per_epoch // share.examples for n, share in zip(sums, self.shares, strict=True))


def _cuts_by_tokens(lengths: NDArray[np.int32], parts: int) -> Indices:
    """The indices at which to divide examples into `parts` with about equal tokens, and at least one example each."""
    before = np.cumsum(lengths, dtype=np.int64)
    cuts = np.searchsorted(before, before[-1] * np.arange(1, parts) / parts, side="left") + 1
    place = np.arange(1, parts)
    cuts = np.maximum.accumulate(np.maximum(cuts - place, 0)) + place  # strictly rising, from 1
    rising: Indices = np.minimum(cuts, len(lengths) - parts + place)
    return rising
