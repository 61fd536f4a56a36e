"""Which examples make up optimizer step k: a pure function of (lengths, seed, k), the same for any number of processes.

An epoch is a permutation of the examples, cut into pools of some steps each. Within a pool the examples are sorted by
length and dealt out to its steps, so that a step's examples are of like length and need little padding. Then the
steps of the epoch are shuffled. Only the permutation is computed for a whole epoch; pools are sorted when a step of
theirs is asked for, so a run can start at any step at once.

The permutation is the order of ``splitmix64(index)`` under a key. splitmix64 (Steele, Lea, Flood 2014,
doi:10.1145/2660193.2660195) is a bijection, so no two keys are equal and any sorting algorithm gives the same
order, on every machine and with every version of NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

STEPS_PER_POOL = 64
"""A larger pool pads less and mixes lengths less. With 32 examples a step BANKING77 pads 5 %; pools of 32 steps would
pad 9 %, of 128 steps 3 %, the whole epoch as one pool 1 %."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EPOCH, _STEPS = 1, 2  # what a permutation is of: distinct keys


@dataclass(frozen=True, slots=True, eq=False)
class BatchOrder:
    """The steps of a run.

    Args:
        lengths: tokens of each example, shape (n,), n ≥ 1.
        seed: fixes the order.
        batch_size: examples per step at most; an epoch's examples are dealt evenly, so that no step is a small rest.
        batch_tokens: tokens per step, about, instead of `batch_size`.
    """

    lengths: NDArray[np.int32]
    seed: int
    batch_size: int | None = None
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        assert (self.batch_size is None) != (self.batch_tokens is None)
        assert len(self.lengths) > 0

    @property
    def steps_per_epoch(self) -> int:
        """The same in every epoch."""
        count = len(self.lengths)
        if self.batch_size is not None:
            return -(-count // self.batch_size)
        assert self.batch_tokens is not None
        tokens = int(self.lengths.sum(dtype=np.int64))
        return max(1, min(count, tokens // self.batch_tokens))

    def step(self, k: int) -> Indices:
        """The examples of step `k` (from 0, over all epochs), shortest first."""
        epoch, position = divmod(k, self.steps_per_epoch)
        examples, steps = self._epoch(epoch)
        pool, place = divmod(int(steps[position]), STEPS_PER_POOL)
        return self._pool(examples, pool)[place]

    def _epoch(self, epoch: int) -> tuple[Indices, Indices]:
        """The permutations of examples and of steps."""
        return (
            _permutation(len(self.lengths), _key(self.seed, epoch, _EPOCH)),
            _permutation(self.steps_per_epoch, _key(self.seed, epoch, _STEPS)),
        )

    def _pool(self, examples: Indices, pool: int) -> list[Indices]:
        """The steps of one pool, each with its examples."""
        count, steps = len(self.lengths), self.steps_per_epoch
        first, last = pool * STEPS_PER_POOL, min((pool + 1) * STEPS_PER_POOL, steps)
        # Even cuts: every step of the epoch has ⌊n/steps⌋ or ⌈n/steps⌉ examples.
        cuts = [step * count // steps for step in range(first, last + 1)]
        members = examples[cuts[0] : cuts[-1]]
        lengths = self.lengths[members]
        by_length = np.argsort(lengths, kind="stable")
        if self.batch_tokens is not None:
            inner = _even_cuts(lengths[by_length], last - first)
        else:
            inner = np.asarray(cuts[1:-1]) - cuts[0]
        return np.split(members[by_length], inner)


def _even_cuts(lengths: NDArray[np.int32], parts: int) -> Indices:
    """Where to cut so that each part has about the same number of tokens, and at least one example."""
    before = np.cumsum(lengths, dtype=np.int64)
    cuts = np.searchsorted(before, before[-1] * np.arange(1, parts) / parts, side="left") + 1
    place = np.arange(1, parts)
    cuts = np.maximum.accumulate(np.maximum(cuts - place, 0)) + place  # strictly rising, from 1
    rising: Indices = np.minimum(cuts, len(lengths) - parts + place)
    return rising


@lru_cache(maxsize=4)
def _permutation(count: int, key: int) -> Indices:
    keys = _splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(key))
    order = np.argsort(keys)
    order.flags.writeable = False
    return order


def _key(seed: int, epoch: int, kind: int) -> int:
    """64 bits from the three numbers."""
    state = np.zeros(1, np.uint64)
    for number in (seed, epoch, kind):
        state = _splitmix64(state + np.uint64(number))
    return int(state[0])


def _splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = state * _GOLDEN + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
