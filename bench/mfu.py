"""The model FLOPs utilisation (MFU) of training a causal model, by the three definitions in use.

A token takes 6 N floating-point operations for N parameters, forward and backward, and 12 L W T for attention in L
layers of width W over texts of T tokens (Chowdhery et al., arXiv:2204.02311, appendix B).
"""

from typing import Any

import torch
import transformers

PEAKS = {"H100": 989e12, "H200": 989e12, "GH200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bf16 operations per second, from NVIDIA's data sheets, which print twice as many, with sparsity."""


def flops_per_token(settings: Any, length: int) -> dict[str, float]:
    """By definition: with all parameters; without the input embedding, unless it is the output layer as well; and with
    half of the attention, as a token sees on average half of the tokens before it."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(settings)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    computing = parameters - (0 if embedding.weight is output.weight else embedding.weight.numel())
    head = getattr(settings, "head_dim", None) or settings.hidden_size // settings.num_attention_heads
    attention = 12 * settings.num_hidden_layers * settings.num_attention_heads * head * length
    return {
        "all parameters": 6 * parameters + attention,
        "without embedding": 6 * computing + attention,
        "causal": 6 * computing + attention / 2,
    }


def peak_flops(gpu: str) -> float | None:
    """Of a GPU by its name, such as ``NVIDIA H200``; None if it is not known."""
    return next((PEAKS[word] for word in gpu.split() if word in PEAKS), None)
