"""Encodes rows as tokens: texts, windows of long texts, and chats. A row may give several examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise, takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from passingloop.errors import DataError
from passingloop.tasks.answers import AnswerFinder, LearnedText
from passingloop.tasks.chat_template import Span, read_chat

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
    refused: Mapping[int, str] = field(default_factory=dict)
    """Why chats cannot be used, by their row of the batch. They are in none of the other fields."""
    ends: frozenset[int] = frozenset()
    """For chats: the tokens that end answers."""
    unprompted: int = 0
    """Answers that do not follow the generation prompt of the chat template."""


def text_encoder(tokenizer: Tokenizer, max_length: int) -> Callable[[pa.RecordBatch], Encoded]:
    """An encoder that makes one example of each text, with the special tokens, cut at `max_length` tokens."""

    def encode(batch: pa.RecordBatch) -> Encoded:
        texts = batch.column("text").to_pylist()
        token_ids = _tokenise(texts, tokenizer)
        lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
        too_long = np.flatnonzero(lengths > max_length)
        special = _special_token_counts(tokenizer, texts[lengths.argmax()]) if len(too_long) else (0, 0)
        for row in too_long.tolist():
            token_ids[row] = _truncated(token_ids[row], max_length, special, tokenizer.truncation_side)
        ids = _token_arrays(token_ids)
        return Encoded(ids, np.ones(len(ids)), np.arange(len(ids)), lengths, cut=len(too_long))

    return encode


def largest_id(tokenizer: Tokenizer) -> int:
    """The largest token id that the tokenizer can give.

    Vocabularies have gaps, so it may be larger than their size; and special tokens are added by a post-processor, which
    has ids of its own.
    """
    added = _backend_tokenizer(tokenizer).encode("").ids  # some cannot encode any text of another language
    largest: int = max(*tokenizer.get_vocab().values(), *added, len(tokenizer) - 1)
    return largest


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


def chat_encoder(tokenizer: Tokenizer, max_length: int) -> Callable[[pa.RecordBatch], Encoded]:
    """An encoder that makes one or several examples of each chat, written by the tokenizer's template and cut at
    `max_length` tokens. The loss counts answers only.

    Raises:
        DataError: the tokenizer has no chat template.
    """
    finder = AnswerFinder(tokenizer)

    def encode(batch: pa.RecordBatch) -> Encoded:
        chats, refused = _learned_texts(batch, finder)
        texts = [text for learned in chats.values() for text in learned]
        encodings = iter(_encode_with_offsets([text.text for text in texts], tokenizer))
        ids, answers, targets, source, lengths = [], [], [], [], []
        for row, learned in chats.items():
            examples = [_chat_example(next(encodings), text, tokenizer, max_length) for text in learned]
            lengths.append(max(length for _, _, length in examples))
            for token_ids, counts, _ in examples:
                if counts[1:].any():  # the first token is never predicted
                    ids.append(token_ids)
                    answers.append(counts)
                    targets.append(int(counts[1:].sum()))
                    source.append(row)
        return Encoded(
            ids,
            np.array(targets, np.int64),
            np.array(source, np.int64),
            np.array(lengths, np.int64),
            answers,
            cut=sum(length > max_length for length in lengths),
            empty=len(chats) - len(set(source)),
            refused=refused,
            ends=frozenset(tokenizer.convert_tokens_to_ids(end) for text in texts for end in text.ends),
            unprompted=sum(text.unprompted for text in texts),
        )

    return encode


def _learned_texts(batch: pa.RecordBatch, finder: AnswerFinder) -> tuple[dict[int, list[LearnedText]], dict[int, str]]:
    """What is learned from each row of a batch, and why other rows cannot be used."""
    learned: dict[int, list[LearnedText]] = {}
    refused: dict[int, str] = {}
    for row, text in enumerate(batch.column("messages").to_pylist()):
        try:
            learned[row] = finder.learned_texts(read_chat(text))
        except DataError as problem:
            refused[row] = str(problem)
    return learned, refused


def _encode_with_offsets(texts: list[str], tokenizer: Tokenizer) -> list[Any]:
    """The encodings of texts without special tokens; the offsets of a token include the white space that it holds."""
    backend = _backend_tokenizer(tokenizer)
    post_processor, backend.post_processor = backend.post_processor, None  # may trim offsets; adds special tokens
    try:
        encodings: list[Any] = backend.encode_batch(texts, add_special_tokens=False)
    except Exception as error:  # tokenizers raises no other type
        raise _unencodable(tokenizer, error) from error
    finally:
        backend.post_processor = post_processor
    return encodings


def _chat_example(encoding: Any, text: LearnedText, tokenizer: Tokenizer, max_length: int) -> tuple[Array, Array, int]:
    """The tokens of a text, for each 1 if the loss counts it, else 0, and the number of tokens before the cut."""
    ids, offsets = _cut_at_answers(encoding, text, tokenizer)
    offsets = offsets[:max_length]
    return ids[:max_length], answer_mask(offsets, text.text, text.spans), len(ids)


def _cut_at_answers(encoding: Any, text: LearnedText, tokenizer: Tokenizer) -> tuple[Array, Array]:
    """The tokens of a text and their offsets, without tokens that hold the end of a prompt and the beginning of its
    answer, such as ``:yes``: at inference the prompt is encoded by itself.

    Such a text is encoded in pieces, unless the tokenizer changes them, as by a space before each, or has no tokens for
    them.
    """
    ids, offsets = _ids_and_offsets(encoding)
    starts = [first for first, _ in text.spans if _is_within_token(offsets, text.text, first)]
    if not starts:
        return ids, offsets
    borders = [0, *starts, len(text.text)]
    try:
        pieces = _encode_with_offsets([text.text[first:last] for first, last in pairwise(borders)], tokenizer)
    except DataError:  # it has no token for a part of a word, nor one for unknown parts
        return ids, offsets
    encoded = [_ids_and_offsets(piece) for piece in pieces]
    cut = np.concatenate([piece_ids for piece_ids, _ in encoded])
    if tokenizer.decode(cut) != tokenizer.decode(ids):
        return ids, offsets
    return cut, np.concatenate([places + first for (_, places), first in zip(encoded, borders, strict=False)])


def _ids_and_offsets(encoding: Any) -> tuple[Array, Array]:
    return np.asarray(encoding.ids, np.int64), np.asarray(encoding.offsets, np.int64).reshape(-1, 2)


def _is_within_token(offsets: Array, text: str, place: int) -> bool:
    """Whether a token holds characters on both sides of `place` that are not white space."""
    around = offsets[(offsets[:, 0] < place) & (offsets[:, 1] > place)]
    return any(text[start:place].strip() and text[place:end].strip() for start, end in around.tolist())


def _tokenise(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    """The tokens of each text with special tokens, the same as ``tokenizer(texts)["input_ids"]``.

    That call takes 1.5 times as long, because it also computes the offsets of the tokens.

    Raises:
        DataError: the tokenizer has no token for a part of a text, nor one for unknown parts.
    """
    backend = _backend_tokenizer(tokenizer)
    ids: list[list[int]] = []
    try:
        for start in range(0, len(texts), TEXTS_PER_CALL):
            ids += [encoding.ids for encoding in backend.encode_batch_fast(texts[start : start + TEXTS_PER_CALL])]
    except Exception as error:  # tokenizers raises no other type
        raise _unencodable(tokenizer, error) from error
    return ids


def _unencodable(tokenizer: Tokenizer, error: Exception) -> DataError:
    return DataError(
        f"The tokenizer of {tokenizer.name_or_path} cannot encode a text of the data: {error}. Without a token for "
        "unknown words it fits its own language only. Choose another model."
    )


def _backend_tokenizer(tokenizer: Tokenizer) -> Any:
    """The tokenizer's backend, with truncation and padding switched off. Each call of the tokenizer sets them anew."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def _special_token_counts(tokenizer: Tokenizer, text: str) -> tuple[int, int]:
    """The numbers of special tokens before and after a text, of which `text` is one with tokens of its own."""
    sequence_ids = _backend_tokenizer(tokenizer).encode(text).sequence_ids
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


def answer_mask(offsets: Array, text: str, spans: Sequence[Span]) -> Array:
    """For each token 1 if it is learned, else 0; shape (tokens,).

    A token is learned if it holds characters of an answer and, outside of it, nothing but white space: a token such as
    " good" is learned where the prompt ends with the space, and one that holds a part of the question is not.

    Args:
        offsets: start and end (exclusive) of each token in characters of `text`, shape (tokens, 2). A token without
            characters belongs to what follows it.
        spans: the answers.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    mask = np.zeros(len(offsets), np.uint8)
    for first, last in spans:
        inside = (starts < last) & (np.maximum(ends, starts + 1) > first)
        for token in np.flatnonzero(inside & ((starts < first) | (ends > last))):
            inside[token] = not (text[starts[token] : first] + text[last : ends[token]]).strip()
        mask |= inside
    return mask
