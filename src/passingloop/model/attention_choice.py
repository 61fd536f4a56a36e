"""Chooses the attention for packed rows, by what a model asks of its attention and what the device has.

A forward pass of few tokens records each call of the attention: its shapes, its arguments, and the mask that the model
would have made. Only if the arguments say the same as the mask can the mask be left out. Models that do not go through
transformers' interface, or ask for something else, keep their own attention.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from passingloop.model.attention import attending, isolates_sequences, plain_model
from passingloop.model.packed_attention import (
    DOCUMENTS,
    FLASH,
    FLEX,
    POSITIONS,
    VARLEN,
    PackedAttention,
    documents_attention,
    varlen_attention,
)

STUDY = "passingloop_study"
"""The name, in transformers, of the attention that records its calls."""

AttentionInterface.register(str(DOCUMENTS.implementation), documents_attention)
AttentionInterface.register(str(VARLEN.implementation), varlen_attention)

LARGEST_HEAD = 256
"""Largest size of a head that FlashAttention computes."""

KNOWN_ARGUMENTS = frozenset(
    (
        "position_ids",
        "position_embeddings",
        "use_cache",
        "cache_position",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "dropout",
        "scaling",
        "sliding_window",
        "softcap",
        "is_causal",
    )
)
"""Arguments of an attention that are understood, or change nothing. A call with another one is not understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionCall:
    """What a layer of a model asks of its attention."""

    size: int
    """Of a head."""
    dropout: float
    softcap: float | None


def choose_attention(
    model: Any, vocabulary: int, row_tokens: int, device: torch.device, *, bf16: bool
) -> PackedAttention | None:
    """The attention for rows of several sequences, which `model` uses from now on; None if none keeps them apart.

    Args:
        row_tokens: tokens in a row at most.
        device: on which the model will be trained; it may be elsewhere now.
        bf16: whether it will be trained with autocast to bf16.
    """
    calls = study_attention(model, vocabulary, row_tokens)
    for attention in _candidates(calls, device, bf16=bf16):
        # A kernel in 16 bits has been tried by itself: what the model makes of it is seen in 32 bits.
        tried = DOCUMENTS if attention is VARLEN else attention
        if isolates_sequences(model, vocabulary, tried):
            plain_model(model).set_attn_implementation(attention.implementation)
            return attention
    return POSITIONS if isolates_sequences(model, vocabulary) else None


def _candidates(calls: list[AttentionCall], device: torch.device, *, bf16: bool) -> Iterator[PackedAttention]:
    """What can compute `calls` on `device`, the fastest first."""
    if not calls:
        return
    on_gpu = device.type == "cuda"
    capped, drops = any(call.softcap for call in calls), any(call.dropout for call in calls)
    fits = all(call.size <= LARGEST_HEAD and call.size % 8 == 0 for call in calls)
    if on_gpu and bf16 and fits and not capped and not drops and _varlen_works(calls, device):
        yield VARLEN
    if on_gpu and bf16 and fits and (capped or drops) and importlib.util.find_spec("flash_attn"):
        yield FLASH
    if not capped:
        yield DOCUMENTS
    elif on_gpu and not drops:
        yield FLEX


def _varlen_works(calls: list[AttentionCall], device: torch.device) -> bool:
    """Whether torch's FlashAttention computes on this GPU what is computed sequence by sequence, in both directions."""
    lengths = [5, 11]
    for size in {call.size for call in calls}:
        torch.manual_seed(0)
        triple = [torch.randn(1, 2, sum(lengths), size, device=device, dtype=torch.bfloat16) for _ in range(3)]
        results: list[list[Any]] = []
        kinds: list[tuple[Callable[..., Any], PackedAttention]] = [
            (documents_attention, DOCUMENTS),
            (varlen_attention, VARLEN),
        ]
        for attend, kind in kinds:
            told = kind.arguments(lengths, sum(lengths))
            leaves = [tensor.clone().requires_grad_() for tensor in triple]
            arguments: dict[str, Any] = {
                name: value.to(device) if isinstance(value, Tensor) else value for name, value in told.items()
            }
            try:
                output = attend(torch.nn.Module(), *leaves, None, **arguments)[0]
                torch.autograd.backward(output.float().square().sum())
            except RuntimeError:  # it has no kernel for this GPU
                return False
            results.append([output, *(leaf.grad for leaf in leaves)])
        if not all(torch.allclose(ours, theirs, rtol=0.05, atol=0.05) for ours, theirs in zip(*results, strict=True)):
            return False
    return True


def study_attention(model: Any, vocabulary: int, row_tokens: int) -> list[AttentionCall]:
    """What the layers of a model ask of their attention; nothing if any of it is not understood.

    Args:
        row_tokens: tokens in a row at most; what the model would do with longer texts does not matter.
    """
    plain = plain_model(model)
    if not plain._can_set_attn_implementation():
        return []
    calls: list[AttentionCall] = []
    understood: list[bool] = []

    def attend(
        module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **arguments: Any
    ) -> tuple[Tensor, None]:
        strange = {name for name, given in arguments.items() if given is not None} - KNOWN_ARGUMENTS
        causal = arguments.get("is_causal")
        understood.append(
            not strange
            and bool(getattr(module, "is_causal", True) if causal is None else causal)
            and query.shape[2] == key.shape[2]
            and query.shape[3] == key.shape[3] == value.shape[3]
            and isinstance(mask, Tensor)
            and mask.tolist() == _seen_through_window(arguments.get("sliding_window"), row_tokens)
        )
        dropout, softcap = float(arguments.get("dropout") or 0.0), arguments.get("softcap")
        calls.append(AttentionCall(size=query.shape[3], dropout=dropout, softcap=softcap))
        return value.repeat_interleave(query.shape[1] // key.shape[1], 1).transpose(1, 2).contiguous(), None

    def describe(*, mask_function: Callable[..., Tensor], device: Any = "cpu", **_: Any) -> Tensor:
        return torch.tensor(_seen_through_mask(mask_function, row_tokens, device))

    AttentionInterface.register(STUDY, attend)
    AttentionMaskInterface.register(STUDY, describe)
    ids = (torch.arange(7, device=plain.device) % (vocabulary - 1) + 1)[None]
    # In training mode, in which attention may have dropout.
    with attending(model, STUDY), torch.random.fork_rng(devices=[]), torch.no_grad():
        was_training = model.training
        model.train()
        try:
            plain(input_ids=ids, position_ids=torch.arange(7, device=plain.device)[None], use_cache=False)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError):
            return []  # it has no such arguments, or does something with the mask
        finally:
            model.train(was_training)
    return calls if all(understood) else []


def _places(row_tokens: int) -> tuple[int, int]:
    """The tokens of a row whose view is compared."""
    return row_tokens // 2, row_tokens - 1


def _seen_through_window(window: int | None, row_tokens: int) -> list[list[int]]:
    """The first token that each of `_places` sees, and how many it sees, if it sees those in a window before it."""
    seen = [min(place + 1, window or place + 1) for place in _places(row_tokens)]
    return [[place + 1 - count, count] for place, count in zip(_places(row_tokens), seen, strict=True)]


def _seen_through_mask(mask_function: Callable[..., Tensor], row_tokens: int, device: Any) -> list[list[int]]:
    """The same by the function that transformers makes a mask from."""
    keys, zero = torch.arange(row_tokens, device=device), torch.zeros((), dtype=torch.int64, device=device)
    views = [
        torch.as_tensor(mask_function(zero, zero, zero + place, keys)).expand(row_tokens).nonzero().flatten().tolist()
        for place in _places(row_tokens)
    ]
    return [[view[0] if view else -1, len(view)] for view in views]
