"""Pseudorandom permutations of a range, of which any part can be computed alone.

A permutation of the numbers below 4^h is a Feistel network over their two halves of h bits (Luby and Rackoff 1988,
doi:10.1137/0217022). Its round function and keys are those of splitmix64 (Steele, Lea, Flood 2014,
doi:10.1145/2660193.2660195). For a range that is smaller, a number outside of it is permuted again until it is inside
(cycle walking; Black and Rogaway 2002, doi:10.1007/3-540-45760-7_9). Only integers are used, so that the result is the
same on every machine and with every version of NumPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

ROUNDS = 12
"""Rounds of the network. Four are enough for long ranges. For ranges up to 20, ten are needed until all images, and
pairs of images, occur equally often (measured over 3,000 keys)."""

_WORD = 2**64 - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def permute(places: Indices, count: int, key: int) -> Indices:
    """The images of `places` under the permutation `key` of ``range(count)``; both of shape (n,)."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    keys = [np.uint64(key_of(key, number)) for number in range(ROUNDS)]
    images = _network(places.astype(np.uint64), half, keys)
    while len(outside := np.flatnonzero(images >= count)):
        images[outside] = _network(images[outside], half, keys)
    return images.astype(np.int64)


def key_of(*numbers: int) -> int:
    """A key of 64 bits that depends on all of `numbers` and their order."""
    state = 0
    for number in numbers:
        state = _splitmix64((state + number) & _WORD)
    return state


def _network(numbers: NDArray[np.uint64], half: int, keys: list[np.uint64]) -> NDArray[np.uint64]:
    low, high = np.uint64(half), np.uint64(64 - half)
    left, right = numbers >> low, numbers & np.uint64((1 << half) - 1)
    for key in keys:
        mixed = (right + key) * np.uint64(_FIRST)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(_SECOND)
        left, right = right, left ^ (mixed >> high)
    return (left << low) | right


def _splitmix64(state: int) -> int:
    z = (state + 1) * _GOLDEN & _WORD
    z = (z ^ (z >> 30)) * _FIRST & _WORD
    z = (z ^ (z >> 27)) * _SECOND & _WORD
    return z ^ (z >> 31)
