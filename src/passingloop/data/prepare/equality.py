"""Equality of texts: case, compatibility forms of characters (NFKC) and white space are ignored."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def example_hashes(batch: pa.RecordBatch) -> Hashes:
    """A hash of the text or chat of each example, shape (n,); equal texts have equal hashes.

    A chat is hashed by the values of its messages in their order, and by what stands beside them.
    """
    if "text" in batch.schema.names:
        return text_hashes(batch.column("text").to_pylist())
    return _hashes("\0".join(map(normalise, _chat_values(text))) for text in batch.column("messages").to_pylist())


def _chat_values(text: str) -> Iterator[str]:
    chat = json.loads(text)
    for message in chat.pop("messages"):
        yield message.pop("role")
        yield _value_text(message.pop("content", ""))
        yield from map(_value_text, message.values())
    yield from map(_value_text, chat.values())


def _value_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


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
