"""Runs an encoder of transformers on a GPU without padding: its texts stand one after another in one row.

Attention keeps them apart by their bounds (FlashAttention for texts of various lengths, which is part of torch). The
rest of an encoder works token by token. What is returned is padded again, so that heads find each text in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from passingloop.model.encoders.geometry import Geometry, Padding, unpadded_inputs

KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "modernbert")
"""Values of `model_type` of the encoders that give attention what `text_attention` takes, and nothing else."""

IMPLEMENTATION = "passingloop_texts"
"""The name of `text_attention` in transformers."""

LARGEST_HEAD = 256
"""Largest size of a head that FlashAttention computes."""


def run_unpadded(model: Any, device: torch.device, *, bf16: bool) -> bool:
    """Let `model` compute without padding, if it is one of `KINDS` and `device` can do it; whether it does.

    Args:
        bf16: whether it is trained with autocast to bf16, which FlashAttention needs.
    """
    base: Any = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if not isinstance(base, nn.Module) or getattr(base.config, "model_type", None) not in KINDS:
        return False
    config: Any = base.config
    size = config.hidden_size // config.num_attention_heads
    if device.type == "cuda" and not (bf16 and size % 8 == 0 and size <= LARGEST_HEAD and _kernel_works(size, device)):
        return False
    unpad(model, base)
    return True


def unpad(model: Any, base: nn.Module) -> None:
    """Let `model` compute without padding, on any device."""
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(IMPLEMENTATION, text_attention)
    model.set_attn_implementation(IMPLEMENTATION)
    base.forward = UnpaddedForward(base)


class UnpaddedForward:
    """`forward` of a base model, for the arguments that training and evaluation pass."""

    def __init__(self, base: Any) -> None:
        self._base = base

    def __call__(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        flat_places: dict[str, Any] | None = None,
        **others: Any,
    ) -> Any:
        """As transformers': hidden states (b, w, h), zeros for padding, and what the pooler makes of them.

        Args:
            input_ids: shape (b, w).
            attention_mask: shape (b, w), 0 for padding.
            flat_places: what `unpadded_inputs` gives; without it the mask is read on the host.
        """
        if flat_places is None:
            kept = np.ones(input_ids.shape, bool) if attention_mask is None else attention_mask.cpu().numpy() != 0
            flat_places = _on_device(unpadded_inputs(kept), input_ids.device)
        rows, width = input_ids.shape
        geometry = Geometry(rows, width, flat_places["padded"], flat_places["flat"], flat_places["tokens"])
        positions = self._positions(input_ids, geometry)
        output = type(self._base).forward(
            self._base,
            input_ids=input_ids.flatten()[geometry.padded][None],
            position_ids=positions[None],
            text_bounds=flat_places["bounds"],
            longest_text=flat_places["longest"],
            **{name: each for name, each in others.items() if each is not None},
        )
        output.last_hidden_state = Padding.apply(output.last_hidden_state[0], geometry)  # type: ignore[no-untyped-call]
        pooler = getattr(self._base, "pooler", None)
        if pooler is not None:
            output.pooler_output = pooler(output.last_hidden_state)
        return output

    def _positions(self, input_ids: Tensor, geometry: Geometry) -> Tensor:
        """The position of each flat token in its text, (t,), as the model counts them."""
        embeddings = self._base.embeddings
        if hasattr(embeddings, "create_position_ids_from_input_ids"):  # RoBERTa counts the tokens that are no padding
            counted: Tensor = embeddings.create_position_ids_from_input_ids(input_ids, embeddings.padding_idx)
            return counted.flatten()[geometry.padded]
        return geometry.padded % geometry.width


def text_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    text_bounds: Tensor,
    longest_text: int,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention in both directions within each text, as `AttentionInterface` of transformers wants it.

    Args:
        query, key, value: shape (1, heads, t, d).
        text_bounds: where each text begins, and the end of the last; shape (texts + 1,), int32.
        longest_text: tokens of the longest text.
        sliding_window: a token sees those at a distance below it.
    """
    assert attention_mask is None, "a mask would be left out"
    if query.is_cuda:
        flat = [each[0].transpose(0, 1).to(torch.bfloat16) for each in (query, key, value)]
        reach = None if sliding_window is None or sliding_window >= longest_text else sliding_window - 1
        # torch's public function for it, torch.nn.attention.varlen, has no dropout.
        output = torch.ops.aten._flash_attention_forward(
            *flat,
            text_bounds,
            text_bounds,
            longest_text,
            longest_text,
            dropout,
            False,
            False,
            scale=scaling,
            window_size_left=reach,
            window_size_right=reach,
        )[0]
        return output[None].to(query.dtype), None
    lengths = text_bounds.diff().tolist()
    return _text_by_text((query, key, value), lengths, dropout, scaling, sliding_window), None


def _text_by_text(
    triple: Sequence[Tensor],
    lengths: list[int],
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
) -> Tensor:
    """`text_attention` by torch's attention for one text, (1, t, heads, d)."""
    parts = []
    for query, key, value in zip(*(torch.split(each, lengths, 2) for each in triple), strict=True):
        seen = _band(query.shape[2], sliding_window, query.device)
        parts.append(
            F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout, scale=scaling)
        )
    return torch.cat(parts, 2).transpose(1, 2)


def _band(length: int, window: int | None, device: torch.device) -> Tensor | None:
    if window is None or length <= window:
        return None
    places = torch.arange(length, device=device)
    return (places[:, None] - places[None]).abs() < window


def _kernel_works(size: int, device: torch.device) -> bool:
    """Whether FlashAttention on this GPU computes, forward and backward, what is computed text by text."""
    bounds = torch.tensor([0, 5, 16], dtype=torch.int32, device=device)
    results = []
    for by_kernel in (True, False):
        generator = torch.Generator(device).manual_seed(0)
        shape = (3, 1, 2, 16, size)
        leaf = torch.randn(shape, device=device, dtype=torch.bfloat16, generator=generator, requires_grad=True)
        query, key, value = leaf
        try:
            if by_kernel:
                output = text_attention(nn.Module(), query, key, value, None, text_bounds=bounds, longest_text=11)[0]
            else:
                output = _text_by_text((query, key, value), [5, 11])
            torch.autograd.backward(output.float().square().sum())
        except RuntimeError:  # it has no kernel for this GPU
            return False
        results.append((output, leaf.grad))
    return all(torch.allclose(ours, theirs, rtol=0.05, atol=0.05) for ours, theirs in zip(*results, strict=True))


def _on_device(inputs: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: each.to(device) if isinstance(each, Tensor) else each for name, each in inputs.items()}
