"""Text to tokens, for the three kinds of examples. One row of the data may become several examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passingloop.tasks.chat_template import answer_spans

Array = NDArray[Any]

Tokenizer = Any
"""A transformers fast tokenizer; it is handed in, so that nothing here needs transformers."""

TEXTS = 512
"""Texts that are tokenised at once. Measured: of 4,096 the tokenizer's own records no longer fit into the cache, and
each token takes 10 % longer."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples as tokens; lists and arrays have one entry per example, but `lengths` one per row."""

    ids: list[Array]
    targets: Array
    """What each example adds to the normaliser of the loss."""
    source: Array
    """Which row of the batch each example comes from."""
    lengths: Array
    """Tokens of each row of the batch, before anything is cut off."""
    answers: list[Array] | None = None
    cut: int = 0
    """Rows that were longer than `max_length` and lost tokens."""
    empty: int = 0
    """Rows with nothing to learn from: no token to predict."""


def text_encoder(tokenizer: Tokenizer, max_length: int) -> Callable[[pa.RecordBatch], Encoded]:
    """Makes one example of each text, with the tokenizer's special tokens, cut at `max_length`."""
    special = _specials(tokenizer)

    def encode(batch: pa.RecordBatch) -> Encoded:
        whole = _tokenise(batch.column("text").to_pylist(), tokenizer)
        lengths = np.fromiter(map(len, whole), np.int64, len(whole))
        long = np.flatnonzero(lengths > max_length)
        for row in long.tolist():
            whole[row] = _cut(whole[row], max_length, special, tokenizer.truncation_side)
        ids = _arrays(whole)
        return Encoded(ids, np.ones(len(ids)), np.arange(len(ids)), lengths, cut=len(long))

    return encode


def nonempty_mask(texts: pa.Array) -> pa.Array:
    """Which of `texts` have something in them, other than white space."""
    return pc.not_equal(pc.utf8_trim_whitespace(pc.fill_null(texts, "")), "")


def encode_windows(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Each text with an end-of-text token, in windows of `max_length`.

    A window begins with the last token of the one before, so that every token but a text's first is predicted once.
    """
    texts = [
        _append_end(ids, tokenizer.eos_token_id)
        for ids in _arrays(_tokenise(batch.column("text").to_pylist(), tokenizer))
    ]
    windows, source = [], []
    for row, ids in enumerate(texts):
        pieces = [ids[start : start + max_length] for start in range(0, len(ids) - 1, max_length - 1)]
        windows += pieces
        source += [row] * len(pieces)
    targets = np.array([len(window) - 1 for window in windows], np.int64)
    lengths = np.array([len(ids) for ids in texts], np.int64)
    return Encoded(windows, targets, np.array(source, np.int64), lengths, empty=len(texts) - len(set(source)))


def encode_chats(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Each chat as the tokenizer's template writes it, cut at `max_length`; the loss counts on answers only."""
    chats = [answer_spans(chat, tokenizer) for chat in batch.column("messages").to_pylist()]
    ids, answers, targets, source, lengths = [], [], [], [], []
    encodings = _plain(tokenizer).encode_batch([text for text, _ in chats], add_special_tokens=False)
    for row, (encoding, (_, spans)) in enumerate(zip(encodings, chats, strict=True)):
        lengths.append(len(encoding))
        starts = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)[:max_length, 0]
        counts = _inside_mask(starts, spans)
        if counts[1:].any():  # the first token is never predicted
            ids.append(np.asarray(encoding.ids[:max_length], np.int64))
            answers.append(counts)
            targets.append(int(counts[1:].sum()))
            source.append(row)
    row_lengths = np.array(lengths, np.int64)
    cut, empty = int((row_lengths > max_length).sum()), len(chats) - len(ids)
    return Encoded(ids, np.array(targets, np.int64), np.array(source, np.int64), row_lengths, answers, cut, empty)


def _tokenise(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    """The tokens of each text with the special ones, as ``tokenizer(texts)["input_ids"]`` has them.

    That way takes half as long again, for it finds out where in the text each token is.
    """
    backend = _plain(tokenizer)
    ids: list[list[int]] = []
    for start in range(0, len(texts), TEXTS):
        ids += [encoding.ids for encoding in backend.encode_batch_fast(texts[start : start + TEXTS])]
    return ids


def _plain(tokenizer: Tokenizer) -> Any:
    """What is inside the tokenizer, set to neither cut nor pad, as the tokenizer sets it in every call."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def _specials(tokenizer: Tokenizer) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    places = _plain(tokenizer).encode("a").sequence_ids
    before = len(list(takewhile(lambda place: place is None, places)))
    return before, len(list(takewhile(lambda place: place is None, reversed(places))))


def _cut(ids: list[int], length: int, special: tuple[int, int], side: str) -> list[int]:
    """`ids` without as many tokens of the text, at its end or its beginning, as are too many."""
    before, after = special
    end = len(ids) - after
    room = max(0, length - before - after)
    kept = ids[before : before + room] if side == "right" else ids[end - room : end]
    return ids[:before] + kept + ids[end:]


def _arrays(lists: list[list[int]]) -> list[Array]:
    """The same as arrays. Measured: one large array cut into pieces takes half as long as an array for each."""
    flat = np.fromiter(chain.from_iterable(lists), np.uint32)
    return [flat[start:end] for start, end in pairwise(accumulate(map(len, lists), initial=0))]


def _append_end(ids: Array, end: int | None) -> Array:
    return ids if end is None or (len(ids) and ids[-1] == end) else np.append(ids, end)


def _inside_mask(starts: Array, spans: list[tuple[int, int]]) -> Array:
    """Which tokens start inside one of `spans`, as 0 and 1."""
    inside = np.zeros(len(starts), np.uint8)
    for first, last in spans:
        inside |= (starts >= first) & (starts < last)
    return inside
