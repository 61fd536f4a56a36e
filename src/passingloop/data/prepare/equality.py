"""Equality of texts: case, compatibility forms of characters (NFKC) and white space are ignored."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def example_hashes(batch: pa.RecordBatch) -> Hashes:
    """A hash of the text or chat of each example, shape (n,); equal texts have equal hashes.

    A chat is hashed by its roles and contents, in their order.
    """
    if "text" in batch.schema.names:
        return text_hashes(batch.column("text").to_pylist())
    chats = batch.column("messages").to_pylist()
    return _hashes("\0".join(normalise(word) for message in chat for word in message.values()) for chat in chats)


def text_hashes(texts: Iterable[str]) -> Hashes:
    """64 bits of BLAKE2b of each normalised text, which are uniformly distributed."""
    return _hashes(map(normalise, texts))


def normalise(text: str) -> str:
    """`text` in Unicode's form NFKC, case folded, with single spaces between words and none at the ends.

    For assigned characters the result is the same in all versions of Unicode (UAX 15, section 3; Unicode Standard,
    section 5.18).
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Splitting and joining takes most of the time (measured), and most texts have single spaces only.
    if folded.isprintable() and "  " not in folded:
        return folded.strip(" ")
    return " ".join(folded.split())


def _hashes(texts: Iterable[str]) -> Hashes:
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
