"""When two texts count as the same: whatever their case, the width of their letters, and the white space in them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def hashes_of(batch: pa.RecordBatch) -> Hashes:
    """64 bits for the text or chat of each example, the same for those that count as the same.

    Of a chat roles and contents count, in their order.
    """
    if "text" in batch.schema.names:
        return text_hashes(batch.column("text").to_pylist())
    chats = batch.column("messages").to_pylist()
    return _hashes("\0".join(normalise(word) for message in chat for word in message.values()) for chat in chats)


def text_hashes(texts: Iterable[str]) -> Hashes:
    """64 bits of BLAKE2b of each normalised text, uniform over their range."""
    return _hashes(map(normalise, texts))


def normalise(text: str) -> str:
    """`text` in Unicode's form NFKC, case folded, with single spaces between words and none around them.

    For characters that are assigned this is the same in every version of Unicode (UAX 15, section 3; Unicode
    Standard, section 5.18).
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Measured: to split and join takes most of the time, and most texts have nothing but single spaces.
    if folded.isprintable() and "  " not in folded:
        return folded.strip(" ")
    return " ".join(folded.split())


def _hashes(texts: Iterable[str]) -> Hashes:
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
