"""Encodes rows as tokens: texts, windows of long texts, and chats. A row may give several examples."""

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
"""A fast tokenizer of transformers, which need not be imported here."""

TEXTS_PER_CALL = 512
"""Texts per call of the tokenizer. With 4,096 its data do not fit into the CPU's cache, and it is 10 % slower
(measured)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The examples of a batch as tokens. Lists and arrays have one entry per example, except `lengths`."""

    ids: list[Array]
    targets: Array
    """What each example adds to the normalizer of the loss."""
    source: Array
    """The row of the batch that each example comes from."""
    lengths: Array
    """Tokens of each row of the batch, before it is cut."""
    answers: list[Array] | None = None
    """For chats: for each token of an example 1 if the loss counts it, else 0."""
    cut: int = 0
    """Rows that were longer than `max_length` and lost tokens."""
    empty: int = 0
    """Rows that gave no example, because they have no token to predict."""


def text_encoder(tokenizer: Tokenizer, max_length: int) -> Callable[[pa.RecordBatch], Encoded]:
    """An encoder that makes one example of each text, with the special tokens, cut at `max_length` tokens."""
    special = _special_token_counts(tokenizer)

    def encode(batch: pa.RecordBatch) -> Encoded:
        token_ids = _tokenise(batch.column("text").to_pylist(), tokenizer)
        lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
        too_long = np.flatnonzero(lengths > max_length)
        for row in too_long.tolist():
            token_ids[row] = _truncated(token_ids[row], max_length, special, tokenizer.truncation_side)
        ids = _token_arrays(token_ids)
        return Encoded(ids, np.ones(len(ids)), np.arange(len(ids)), lengths, cut=len(too_long))

    return encode


def nonempty_mask(texts: pa.Array) -> pa.Array:
    """A mask of the `texts` that have characters other than white space. A comparison with "" would import pandas."""
    lengths = pc.utf8_length(pc.utf8_trim_whitespace(texts))
    return pc.and_kleene(pc.is_valid(texts), pc.cast(lengths, pa.bool_()))


def encode_windows(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Each text, followed by the end-of-text token, as windows of `max_length` tokens.

    A window starts with the last token of the previous one, so that every token but a text's first is predicted once.
    """
    texts = [
        _append_end(ids, tokenizer.eos_token_id)
        for ids in _token_arrays(_tokenise(batch.column("text").to_pylist(), tokenizer))
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
    """Each chat, written by the tokenizer's template, cut at `max_length` tokens. The loss counts answers only."""
    chats = [answer_spans(chat, tokenizer) for chat in batch.column("messages").to_pylist()]
    ids, answers, targets, source, lengths = [], [], [], [], []
    encodings = _backend_tokenizer(tokenizer).encode_batch([text for text, _ in chats], add_special_tokens=False)
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
    """The tokens of each text with special tokens, the same as ``tokenizer(texts)["input_ids"]``.

    That call takes 1.5 times as long, because it also computes the offsets of the tokens.
    """
    backend = _backend_tokenizer(tokenizer)
    ids: list[list[int]] = []
    for start in range(0, len(texts), TEXTS_PER_CALL):
        ids += [encoding.ids for encoding in backend.encode_batch_fast(texts[start : start + TEXTS_PER_CALL])]
    return ids


def _backend_tokenizer(tokenizer: Tokenizer) -> Any:
    """The tokenizer's backend, with truncation and padding switched off. Each call of the tokenizer sets them anew."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def _special_token_counts(tokenizer: Tokenizer) -> tuple[int, int]:
    """The numbers of special tokens before and after a text."""
    sequence_ids = _backend_tokenizer(tokenizer).encode("a").sequence_ids
    before = len(list(takewhile(lambda place: place is None, sequence_ids)))
    return before, len(list(takewhile(lambda place: place is None, reversed(sequence_ids))))


def _truncated(ids: list[int], length: int, special: tuple[int, int], side: str) -> list[int]:
    """`ids` cut to `length` tokens, keeping the special tokens; the text is cut at its end if `side` is right.

    Args:
        special: the numbers of special tokens before and after the text.
    """
    before, after = special
    end = len(ids) - after
    length_left = max(0, length - before - after)
    kept = ids[before : before + length_left] if side == "right" else ids[end - length_left : end]
    return ids[:before] + kept + ids[end:]


def _token_arrays(lists: list[list[int]]) -> list[Array]:
    """The lists as arrays: views of one large array, which takes half the time of separate arrays (measured)."""
    flat = np.fromiter(chain.from_iterable(lists), np.uint32)
    return [flat[start:end] for start, end in pairwise(accumulate(map(len, lists), initial=0))]


def _append_end(ids: Array, end: int | None) -> Array:
    return ids if end is None or (len(ids) and ids[-1] == end) else np.append(ids, end)


def _inside_mask(starts: Array, spans: list[tuple[int, int]]) -> Array:
    """For each token 1 if it starts inside one of `spans`, else 0; shape (tokens,)."""
    inside = np.zeros(len(starts), np.uint8)
    for first, last in spans:
        inside |= (starts >= first) & (starts < last)
    return inside
