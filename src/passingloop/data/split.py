"""Which part an example belongs to, by a stable hash of its text: the same on every machine and in every order.

Equal texts have equal hashes, so a text that occurs twice never stands in two parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from passingloop.config.data import DataConfig, Part

Hashes = NDArray[np.uint64]


def text_hashes(texts: Iterable[str]) -> Hashes:
    """64 bits of BLAKE2b of each text, uniform over their range."""
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def parts_of(hashes: Hashes, config: DataConfig, there: Collection[Part]) -> dict[Part, NDArray[np.bool_]]:
    """For training data: which examples stay, and which are split off for parts that are not `there`."""
    share = hashes / 2.0**64
    test_share = 0.0 if "test" in there else config.test_fraction
    validation_share = 0.0 if "validation" in there else config.validation_fraction
    test = share < test_share
    validation = ~test & (share < test_share + validation_share)
    return {"train": ~test & ~validation, "validation": validation, "test": test}


def lowest(hashes: Hashes, count: int) -> NDArray[np.int64]:
    """The places of the `count` lowest hashes (the earlier of equal ones), in rising order of place."""
    return np.sort(np.argsort(hashes, kind="stable")[:count])
