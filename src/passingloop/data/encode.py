"""Text to tokens, for the three kinds of examples. One file row may become several examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from passingloop.config.settings import Task
from passingloop.data.chat import answer_spans
from passingloop.data.tokens import Array

Tokenizer = Any
"""A transformers fast tokenizer; it is handed in, so that this room needs no transformers."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples as tokens; lists and arrays have one entry per example."""

    ids: list[Array]
    targets: Array
    """What each example adds to the normaliser of the loss."""
    source: Array
    """Which row of the batch each example comes from."""
    answers: list[Array] | None = None
    cut: int = 0
    """Rows that were longer than `max_length` and lost tokens."""
    empty: int = 0
    """Rows with nothing to learn from: no token to predict."""


Encoder = Callable[[pa.RecordBatch], Encoded]


def encoder(task: Task, tokenizer: Tokenizer, max_length: int) -> Encoder:
    """The encoder for the examples of `task`."""
    if task == "classification":
        return lambda batch: _classified(batch, tokenizer, max_length)
    return lambda batch: (_answered if "messages" in batch.schema.names else _continued)(batch, tokenizer, max_length)


def _classified(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """One example per text, with the tokenizer's special tokens, cut at `max_length`."""
    texts = batch.column("text").to_pylist()
    encodings = tokenizer(
        texts,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_overflowing_tokens=False,
    )
    ids = [np.asarray(tokens, np.int64) for tokens in encodings["input_ids"]]
    cut = sum(bool(encoding.overflowing) for encoding in encodings.encodings)
    return Encoded(ids, np.ones(len(ids)), np.arange(len(ids)), cut=cut)


def _continued(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Each text with an end-of-text token, in windows of `max_length`.

    A window begins with the last token of the one before, so that every token but a text's first is predicted once.
    """
    texts = batch.column("text").to_pylist()
    windows, source = [], []
    for row, tokens in enumerate(
        tokenizer(texts, return_attention_mask=False, return_token_type_ids=False, verbose=False)["input_ids"]
    ):
        ids = _ended(np.asarray(tokens, np.int64), tokenizer.eos_token_id)
        pieces = [ids[start : start + max_length] for start in range(0, len(ids) - 1, max_length - 1)]
        windows += pieces
        source += [row] * len(pieces)
    targets = np.array([len(window) - 1 for window in windows], np.int64)
    return Encoded(windows, targets, np.array(source, np.int64), empty=len(texts) - len(set(source)))


def _answered(batch: pa.RecordBatch, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Each chat as the tokenizer's template writes it, cut at `max_length`; the loss counts on answers only."""
    written = [answer_spans(chat, tokenizer) for chat in batch.column("messages").to_pylist()]
    encodings = tokenizer(
        [text for text, _ in written],
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids, answers, targets, source, cut = [], [], [], [], 0
    for row, (tokens, offsets) in enumerate(zip(encodings["input_ids"], encodings["offset_mapping"], strict=True)):
        counts = _inside(np.asarray(offsets, np.int64).reshape(-1, 2)[:, 0], written[row][1])[:max_length]
        cut += len(tokens) > max_length
        if counts[1:].any():  # the first token is never predicted
            ids.append(np.asarray(tokens[:max_length], np.int64))
            answers.append(counts)
            targets.append(int(counts[1:].sum()))
            source.append(row)
    return Encoded(ids, np.array(targets, np.int64), np.array(source, np.int64), answers, cut, len(written) - len(ids))


def _ended(ids: Array, end: int | None) -> Array:
    return ids if end is None or (len(ids) and ids[-1] == end) else np.append(ids, end)


def _inside(starts: Array, spans: list[tuple[int, int]]) -> Array:
    """Which tokens start inside one of `spans`, as 0 and 1."""
    inside = np.zeros(len(starts), np.uint8)
    for first, last in spans:
        inside |= (starts >= first) & (starts < last)
    return inside
