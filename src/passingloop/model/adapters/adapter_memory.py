"""The memory that a model with LoRA needs, whether that is a reason to quantise its weights, and how that is said."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from passingloop.config.settings import AdapterConfig
from passingloop.model.adapters.frozen import FOUR_BITS, LAYERS, FourBitLinear, Held
from passingloop.model.device.memory import USABLE, bytes_per_token

BYTES = {"fp32": 4.0, "bf16": 2.0, "nf4": FOUR_BITS}
"""Bytes of a weight, by how it is held."""

TRAINED_BYTES = 16
"""Bytes of a trained parameter: weight, gradient, and the two moments of AdamW."""


def held(quantize: str, *, bf16: bool) -> Held:
    """How frozen weights are held, with the settled value of `adapter.quantize`."""
    return "nf4" if quantize == "nf4" else "bf16" if bf16 else "fp32"


def resolve_quantize(config: AdapterConfig, settings: Any, auto: str, gpu_memory: int | None, **use: Any) -> str:
    """The value of `adapter.quantize` to use: `auto` is nf4 if the weights do not fit the GPU's memory otherwise.

    Args:
        settings: the model's transformers configuration.
        auto: the auto class of transformers that has the task's head.
        gpu_memory: bytes of the GPU; None on a CPU, where nothing is quantised.
        use: what else `fits_unquantized` takes.
    """
    if config.quantize != "auto":
        return config.quantize
    if config.kind == "none" or gpu_memory is None:
        return "none"
    with torch.device("meta"):
        model = getattr(transformers, auto).from_config(settings)
    return "none" if fits_unquantized(model, config, settings, gpu_memory, **use) else "nf4"


def fits_unquantized(
    model: Any,
    config: AdapterConfig,
    settings: Any,
    gpu_memory: int,
    *,
    bf16: bool,
    row_tokens: int,
    tokens_have_logits: bool,
    shards: int,
) -> bool:
    """Whether `model`, which has no factors yet, can be trained with LoRA without quantising it.

    Args:
        bf16: whether the run computes in bf16.
        row_tokens: length of the longest row, which must fit besides the weights.
        tokens_have_logits, shards: as in `passingloop.model.device.memory.micro_batch_tokens`.
    """
    is_half = bf16 and getattr(settings.get_text_config(), "dtype", None) == torch.bfloat16
    states = lora_bytes(model, config, "bf16" if is_half else "fp32") / shards
    return USABLE * gpu_memory - states >= row_tokens * bytes_per_token(settings, tokens_have_logits=tokens_have_logits)


def lora_bytes(model: Any, config: AdapterConfig, how: Held) -> float:
    """Bytes of `model` with LoRA, for weights, gradients and AdamW, if its frozen linear layers are held like this."""
    head = model.get_output_embeddings()
    layers: list[Any] = [module for module in model.modules() if type(module) in LAYERS and module is not head]
    total: float = 4.0 * sum(parameter.numel() for parameter in model.parameters())
    for layer in layers:
        total -= (4 - BYTES[how]) * layer.weight.numel()
        total += TRAINED_BYTES * config.rank * sum(layer.weight.shape)
    return total


def describe_adapter(model: torch.nn.Module, config: AdapterConfig, quantize: str, fits: bool | None) -> str:
    """A row of the run's header: what is learned, how the frozen weights are held, and whether that need be.

    Args:
        model: with its factors.
        quantize: the settled value of `adapter.quantize`.
        fits: whether they fit the GPU's memory unquantised; None on a CPU.
    """
    from passingloop.model.adapters.low_rank import FactoredLinear

    layers = [module.base_layer for module in model.modules() if isinstance(module, FactoredLinear)]
    size = sum(p.numel() * p.element_size() for layer in layers for p in layer.parameters())
    types = {"nf4" if isinstance(layer, FourBitLinear) else layer.weight.dtype for layer in layers}
    names = {"nf4": "4 bits (NF4)", torch.bfloat16: "bf16", torch.float32: "fp32"}
    kind = f"{'DoRA' if config.dora else 'LoRA'} of rank {config.rank}{', rsLoRA' if config.rslora else ''}"
    told = " and ".join(word for key, word in names.items() if key in types)
    return f"{kind}, beside frozen weights in {told}, {size / 1e9:,.2f} GB{_reason(config, quantize, fits)}"


def _reason(config: AdapterConfig, quantize: str, fits: bool | None) -> str:
    if config.quantize == "auto" and quantize == "nf4":
        return "; unquantised they would not fit the GPU"
    if config.quantize == "auto":
        return "; not quantised, as they fit the GPU" if fits else "; not quantised, as it has no GPU"
    if quantize == "nf4" and fits:
        return "; unquantised they fit this GPU as well, and are faster: adapter=lora"
    return ""
