"""Tests by forward passes which tokens a model uses, as it depends on the architecture: others in its row, padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from passingloop.model.packed_attention import POSITIONS, PackedAttention

ROUNDING = 1e-3
"""The largest relative difference of logits that is due to another shape of the computation."""

LEAK = 1e-5
"""A larger relative difference between computations of the same shape, which round equally, means that another sequence
has an influence. A newly initialised LFM2 has 1e-4, through its convolutions; models that isolate sequences have less
than 1e-6."""


PADDING = 8
"""Padding tokens with which `padding_side` computes a text."""

NEGLIGIBLE = 1e-5
"""The largest difference of logits near 0 that is due to rounding."""

Side = Literal["right", "left"]


def isolates_sequences(model: Any, vocabulary: int, attention: PackedAttention = POSITIONS) -> bool:
    """Whether a sequence has the same logits after another one in its row, with `attention`, as alone with the model's
    own, so that rows may be packed.

    transformers makes attention block-diagonal where position_ids restart, for models that use its mask functions.
    Models with recurrent state or their own attention may not do it.
    """
    first, second = _token_sequence(5, vocabulary, model), _token_sequence(7, vocabulary, model)
    other_first = (first + len(second)) % vocabulary
    alone = _logits(model, [second])
    with attending(model, attention.implementation):
        after_first, after_other = (
            _logits(model, [before, second], attention)[len(before) :] for before in (first, other_first)
        )
    return _are_close(alone, after_first, ROUNDING) and _are_close(after_first, after_other, LEAK)


def plain_model(model: Any) -> Any:
    """The transformers model, without an adapter around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def attending(model: Any, implementation: str | None) -> Iterator[None]:
    """Meanwhile the model's attention is the `implementation` of transformers; None: its own."""
    plain = plain_model(model)
    own = plain.config._attn_implementation
    if implementation is not None:
        plain.set_attn_implementation(implementation)
    try:
        yield
    finally:
        if implementation is not None:
            plain.set_attn_implementation(own)


def sees_following_tokens(model: Any, vocabulary: int) -> bool:
    """Whether the logits of a token depend on later tokens, which it must predict, as in an encoder."""
    sequence = _token_sequence(7, vocabulary, model)
    other = sequence.clone()
    other[-1] = 0
    return not _are_close(_logits(model, [sequence])[:-1], _logits(model, [other])[:-1], LEAK)


def padding_side(model: Any, sequence: Tensor, pad: int) -> Side | None:
    """The side on which a text may be padded: with it, the text has the same logits as alone. None: on neither side.

    Most models take either side, and get the right one. XLNet reads its result from the last position.

    Args:
        sequence: the ids of a text, shape (tokens,).
    """
    alone = text_logits(model, sequence)
    filling = sequence.new_full((PADDING,), pad)
    sides: tuple[tuple[Side, list[Tensor]], ...] = (("right", [sequence, filling]), ("left", [filling, sequence]))
    for side, parts in sides:
        mask = torch.cat([torch.full_like(part, part is sequence) for part in parts])
        logits = text_logits(model, torch.cat(parts), mask)
        if logits.dim() > 1:  # of tokens
            logits = logits[mask.bool()]
        if (logits - alone).abs().max() <= ROUNDING * alone.abs().max() + NEGLIGIBLE:
            return side
    return None


@torch.no_grad()
def text_logits(model: Any, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """The logits of one row, without dropout; shape (tokens, vocabulary) or (classes,).

    Args:
        ids, mask: shape (tokens,); the mask is 0 for padding.
    """
    mask = torch.ones_like(ids) if mask is None else mask
    with evaluating(model):
        logits: Tensor = model(input_ids=ids[None], attention_mask=mask[None]).logits[0]
    return logits


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Meanwhile the model is in evaluation mode: without dropout."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _token_sequence(length: int, vocabulary: int, model: Any) -> Tensor:
    return torch.arange(length, device=model.device) % (vocabulary - 1) + 1


def _are_close(logits: Tensor, other: Tensor, tolerance: float) -> bool:
    return bool((logits - other).abs().max() <= tolerance * logits.abs().max())


@torch.no_grad()  # not inference mode, in which FSDP gathers weights that training cannot use
def _logits(model: Any, sequences: list[Tensor], attention: PackedAttention = POSITIONS) -> Tensor:
    """The logits of `sequences` in one row, without dropout; shape (tokens, vocabulary)."""
    lengths = [len(sequence) for sequence in sequences]
    told = {
        name: value.to(model.device) if isinstance(value, Tensor) else value
        for name, value in attention.arguments(lengths, sum(lengths)).items()
    }
    position_ids = torch.cat([torch.arange(len(sequence), device=sequence.device) for sequence in sequences])
    with evaluating(model):
        try:
            output = model(
                input_ids=torch.cat(sequences)[None], position_ids=position_ids[None], use_cache=False, **told
            )
        except TypeError:  # the model has no position_ids, and so cannot separate the sequences
            output = model(input_ids=torch.cat(sequences)[None], use_cache=False)
    logits: Tensor = output.logits[0]
    return logits
