"""Attention for rows that hold several sequences, each of which sees only itself.

The sequences are told to the attention by their lengths. No mask is made, so none can switch the separation off, and
the work is that of the sequences: a row of 20 short texts costs a fraction of a row with one long text.

============ ==================================================================================================
`DOCUMENTS`  torch's scaled dot product attention, sequence by sequence; on every device, in every precision
`VARLEN`     FlashAttention for sequences of various lengths, which torch has; CUDA, 16 bits
`FLASH`      the same from the package flash-attn, for models that cap attention scores or drop some of them out
`FLEX`       FlexAttention, compiled for the blocks that sequences have; CUDA, for models that cap scores
`POSITIONS`  the model's own attention, if it makes a mask from where position_ids restart
============ ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from passingloop.data.examples.packed_rows import next_width


@dataclass(frozen=True, slots=True)
class PackedAttention:
    """A kind of attention for packed rows."""

    implementation: str | None
    """Its name in transformers; None: the model's own."""

    arguments: Callable[[Sequence[int], int], dict[str, Any]]
    """From the lengths of all sequences, row after row, with what fills up the rows, and the width of the rows, to the
    arguments of the model that tell its attention of them."""

    description: str
    """For the header of a run."""


class Lengths:
    """Those of all sequences in the flattened rows, in an object that torch.compile does not look into: it would
    compile anew for each number of sequences."""

    def __init__(self, values: Sequence[int]) -> None:
        self.values = list(values)


def _lengths(lengths: Sequence[int], width: int) -> dict[str, Any]:
    return {"sequence_lengths": Lengths(lengths)}


def _bounds(lengths: Sequence[int], width: int) -> dict[str, Any]:
    """Bounds in few sizes, filled up with empty sequences: other sizes, and other integers, are compiled anew."""
    ends = torch.tensor(lengths, dtype=torch.int32).cumsum(0, dtype=torch.int32)
    bounds = torch.full((next_width(len(lengths), 8) + 1,), int(ends[-1]), dtype=torch.int32)
    bounds[0] = 0
    bounds[1 : len(ends) + 1] = ends
    return {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": width, "max_length_k": width}


def _nothing(lengths: Sequence[int], width: int) -> dict[str, Any]:
    return {}


DOCUMENTS = PackedAttention("passingloop_documents", _lengths, "text by text")
VARLEN = PackedAttention("passingloop_varlen", _bounds, "FlashAttention")
FLASH = PackedAttention("flash_attention_2", _bounds, "FlashAttention of the package flash-attn")
FLEX = PackedAttention("flex_attention", _nothing, "FlexAttention")
POSITIONS = PackedAttention(None, _nothing, "the model's own")


def documents_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sequence_lengths: Lengths | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence, as `AttentionInterface` of transformers wants it.

    Args:
        query, key, value: shapes (b, heads, t, d) and (b, key heads, t, d).
        sequence_lengths: of the sequences in the flattened rows, whose sum is b · t; None: each row is one.
        sliding_window: how many tokens a token sees, with itself.
    """
    assert attention_mask is None, "a mask would be left out"
    rows, heads, width, _size = query.shape
    lengths = [width] * rows if sequence_lengths is None else sequence_lengths.values
    parts = [torch.split(_flat(tensor, query), lengths, 2) for tensor in (query, key, value)]
    grouped = key.shape[1] != heads
    outputs = [
        F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=_band(length, sliding_window, query.device),
            dropout_p=dropout,
            is_causal=sliding_window is None or length <= sliding_window,
            scale=scaling,
            enable_gqa=grouped,
        )
        for length, queries, keys, values in zip(lengths, *parts, strict=True)
    ]
    return torch.cat([output.transpose(1, 2) for output in outputs], 1).view(rows, width, heads, -1), None


def compile_around_documents() -> None:
    """Leave `documents_attention` out of compiled blocks from now on: the rest of a block is compiled once."""
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(str(DOCUMENTS.implementation), torch.compiler.disable(documents_attention))  # type: ignore[no-untyped-call]


def varlen_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As `documents_attention`, in one kernel; in 16 bits. Without bounds each row is a sequence."""
    from torch.nn.attention.varlen import varlen_attn

    assert attention_mask is None, "a mask would be left out"
    rows, heads, width, _size = query.shape
    if cu_seq_lens_q is None or max_length_q is None:
        cu_seq_lens_q, max_length_q = (
            torch.arange(0, rows * width + 1, width, dtype=torch.int32).to(query.device),
            width,
        )
    flat = [_flat(tensor, query)[0].transpose(0, 1) for tensor in (query, key, value)]
    queries, keys, values = (tensor if tensor.dtype == torch.float16 else tensor.bfloat16() for tensor in flat)
    window = (-1, 0) if sliding_window is None or sliding_window >= max_length_q else (sliding_window - 1, 0)
    output = varlen_attn(
        queries,
        keys,
        values,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=window,
        enable_gqa=key.shape[1] != heads,
    )
    assert isinstance(output, Tensor)
    return output.view(rows, width, heads, -1).to(query.dtype), None


def _flat(tensor: Tensor, query: Tensor) -> Tensor:
    """(b, heads, t, d) as (1, heads, b · t, d), in the type that autocast, where it is on, computes attention in."""
    device = query.device.type
    if torch.is_autocast_enabled(device):
        tensor = tensor.to(torch.get_autocast_dtype(device))
    rows, heads, width, size = tensor.shape
    return tensor.transpose(1, 2).reshape(1, rows * width, heads, size).transpose(1, 2)


def _band(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which tokens of a sequence see which, if its window is shorter than it is; else None."""
    if window is None or length <= window:
        return None
    ones = torch.ones(length, length, dtype=torch.bool, device=device)
    return ones.tril() & ones.triu(1 - window)
