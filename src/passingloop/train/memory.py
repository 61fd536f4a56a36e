"""How many tokens fit into one forward and backward pass."""

from __future__ import annotations

import re
from pathlib import Path
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
    """Tokens, padding included, for one forward and backward pass of `model` on `device`: a power of two, so that
    sums are rounded alike when a later attempt finds a little more or less memory free.

    Args:
        settings: the model's transformers configuration.
        tokens_have_logits: every token has logits over the vocabulary, as in causal language modelling.
    """
    settings = settings.get_text_config()  # of models that see images as well, too
    width = _first(settings, "hidden_size", "n_embd", "d_model", default=1024)
    layers = _first(settings, "num_hidden_layers", "n_layer", "num_layers", default=24)
    vocabulary = settings.vocab_size if tokens_have_logits else 0
    per_token = 2 * BYTES_PER_WIDTH * width * layers + 4 * LOGIT_COPIES * vocabulary
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    states = 12 * trained  # fp32 gradient and two moments
    fits = max(1, int(USABLE * (_free(device) - states) / per_token))
    power = 1 << (fits.bit_length() - 1)
    return power if device.type == "cuda" else min(power, CPU_TOKENS)


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    # Not the free pages: those that cache files are to be had as well.
    available = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    assert available is not None  # since Linux 3.14
    return 1024 * int(available[1])


def _first(settings: Any, *names: str, default: int) -> int:
    """The first of `names` that the configuration has: models differ in what they call it."""
    return next((int(getattr(settings, name)) for name in names if hasattr(settings, name)), default)
