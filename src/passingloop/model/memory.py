"""How many tokens fit into one forward and backward pass."""

from __future__ import annotations

from typing import Any

import torch

BYTES_PER_WIDTH = 34
"""16-bit bytes that a transformer layer keeps per token and unit of width (Korthikanti et al. 2022,
arXiv:2205.05198, section 4.1), attention scores left out: fused kernels do not keep them."""

LOGIT_COPIES = 3
"""fp32 copies of the logits in the loss: the logits, their log-softmax, its gradient."""

USABLE = 0.7
"""Share of a GPU's memory that is planned with; the rest is for what the formula leaves out."""

CPU_ROOM = 2 * 2**30
"""Bytes on a CPU, whose memory is shared with others."""

CPU_TOKENS = 4096
"""On a CPU larger passes are no faster."""


def micro_batch_tokens(
    model: torch.nn.Module,
    settings: Any,
    gpu_memory: int | None,
    optimizer_state: int,
    *,
    tokens_have_logits: bool,
    shards: int = 1,
) -> int:
    """Tokens, padding included, for one forward and backward pass of `model`.

    Depends on the kind of device, not on what is free just now: a later attempt rounds its sums alike.

    Args:
        settings: the model's transformers configuration.
        gpu_memory: bytes of the GPU in all; None on a CPU.
        optimizer_state: its bytes, over all processes together.
        shards: over how many processes weights, gradients and optimizer state are spread.
        tokens_have_logits: every token has logits over the vocabulary, as in causal language modelling.
    """
    settings = settings.get_text_config()  # of models that see images as well, too
    width = _first(settings, "hidden_size", "n_embd", "d_model", default=1024)
    layers = _first(settings, "num_hidden_layers", "n_layer", "num_layers", default=24)
    vocabulary = settings.vocab_size if tokens_have_logits else 0
    per_token = 2 * BYTES_PER_WIDTH * width * layers + 4 * LOGIT_COPIES * vocabulary
    if gpu_memory is None:
        return max(1, min(CPU_ROOM // per_token, CPU_TOKENS))
    states = 4 * sum(p.numel() for p in model.parameters())  # fp32 weights
    states += 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)  # fp32 gradients
    states += optimizer_state
    return max(1, int((USABLE * gpu_memory - states / shards) / per_token))


def gpu_memory(device: torch.device) -> int | None:
    """Bytes of a GPU in all, None for a CPU."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None


def _first(settings: Any, *names: str, default: int) -> int:
    """The first of `names` that the configuration has: models differ in what they call it."""
    return next((int(getattr(settings, name)) for name in names if hasattr(settings, name)), default)
