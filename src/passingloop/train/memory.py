"""How many tokens fit into one forward and backward pass."""

from __future__ import annotations

import os
from typing import Any

import torch

BYTES_PER_WIDTH = 34
"""16-bit bytes that a transformer layer keeps per token and unit of width (Korthikanti et al. 2022,
arXiv:2205.05198, section 4.1), attention scores left out: fused kernels do not keep them."""

LOGIT_COPIES = 3
"""fp32 copies of the logits in the loss: the logits, their log-softmax, its gradient."""

USABLE = 0.7
"""Share of the free memory that is planned with; the rest is for what the formula leaves out."""

CPU_TOKENS = 16_384
"""On a CPU larger passes are no faster, and memory is shared with others."""


def micro_batch_tokens(model: torch.nn.Module, settings: Any, device: torch.device, *, tokens_have_logits: bool) -> int:
    """Tokens, padding included, for one forward and backward pass of `model` on `device`.

    Args:
        settings: the model's transformers configuration.
        tokens_have_logits: every token has logits over the vocabulary, as in causal language modelling.
    """
    width = _first(settings, "hidden_size", "n_embd", "d_model", default=1024)
    layers = _first(settings, "num_hidden_layers", "n_layer", "num_layers", default=24)
    vocabulary = settings.vocab_size if tokens_have_logits else 0
    per_token = 2 * BYTES_PER_WIDTH * width * layers + 4 * LOGIT_COPIES * vocabulary
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    states = 12 * trained  # fp32 gradient and two moments
    fits = int(USABLE * (_free(device) - states) / per_token)
    return max(1, fits if device.type == "cuda" else min(fits, CPU_TOKENS))


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _first(settings: Any, *names: str, default: int) -> int:
    """The first of `names` that the configuration has: models differ in what they call it."""
    return next((int(getattr(settings, name)) for name in names if hasattr(settings, name)), default)
