"""What the device allows: number format, deterministic kernels, and tokens per forward and backward pass."""

from __future__ import annotations

import os
import time
from typing import Any

import torch

from passingloop.config.settings import Precision

BYTES_PER_WIDTH = 34
"""Bytes of activations that a transformer layer keeps per token and unit of width in 16 bits (Korthikanti et al. 2022,
arXiv:2205.05198, section 4.1), without attention scores, which fused kernels do not keep."""

LOGIT_COPIES = 3
"""Copies of the logits in fp32 that the loss needs: the logits, their log-softmax, and its gradient."""

USABLE = 0.7
"""The share of a GPU's memory that is used; the rest is for what the formula leaves out."""

CPU_ROOM = 2 * 2**30
"""Bytes for a pass on a CPU, whose memory is shared with other programs."""

CPU_TOKENS = 4096
"""Tokens per pass on a CPU at most; larger passes are not faster."""


def resolve_precision(wanted: Precision, *, cuda: bool) -> str:
    """The precision to use: `auto` is bf16 if the hardware has bf16 matrix products, else fp32."""
    if wanted != "auto":
        return wanted
    return "bf16" if (_cuda_has_bf16() if cuda else _cpu_has_bf16()) else "fp32"


def bf16_cost(times: int = 20) -> float:
    """The time of a linear layer in bf16 on this CPU, measured, as a multiple of that in fp32.

    By its flags alone a CPU may be slower in bf16 (pytorch #86270). Takes 20 ms where bf16 is computed. It is the
    shortest of several `times`, as other processes may be busy.
    """
    rows, weights = torch.ones(256, 384), torch.ones(384, 384)
    seconds = {bf16: [_linear_seconds(rows, weights, bf16=bf16)] for bf16 in (False, True)}  # the first ones prepare
    for _ in range(times):
        for bf16, measured in seconds.items():
            measured.append(_linear_seconds(rows, weights, bf16=bf16))
    return min(seconds[True][1:]) / min(seconds[False][1:])


def _linear_seconds(rows: torch.Tensor, weights: torch.Tensor, *, bf16: bool) -> float:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        before = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        return time.perf_counter() - before


def _cuda_has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bf16() -> bool:
    """Whether the CPU has AVX-512 BF16 or AMX. Without them bf16 is emulated, and slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def choose_kernels(*, deterministic: bool) -> None:
    """With `deterministic`, allow deterministic kernels only; an operation without one raises an error."""
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA is initialised; cuBLAS documentation, 2.1.4
        torch.use_deterministic_algorithms(True)


def micro_batch_tokens(
    model: torch.nn.Module,
    settings: Any,
    gpu_memory: int | None,
    optimizer_state: int,
    *,
    tokens_have_logits: bool,
    shards: int = 1,
) -> int:
    """The number of tokens, with padding, for one forward and backward pass of `model`.

    It depends on the type of the device, not on its free memory, so that later attempts use the same number, and their
    sums are rounded in the same way.

    Args:
        settings: the model's transformers configuration.
        gpu_memory: bytes of the GPU; None on a CPU.
        optimizer_state: bytes of the optimizer's state in all processes together.
        tokens_have_logits: whether every token has logits over the vocabulary, as in causal language modelling.
        shards: the number of processes over which weights, gradients and optimizer state are sharded.
    """
    per_token = bytes_per_token(settings, tokens_have_logits=tokens_have_logits)
    if gpu_memory is None:
        return max(1, min(CPU_ROOM // per_token, CPU_TOKENS))
    states = sum(p.numel() * p.element_size() for p in model.parameters())  # frozen ones may be in bf16, or 4 bits
    states += 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)  # fp32 gradients
    states += optimizer_state
    return max(1, int((USABLE * gpu_memory - states / shards) / per_token))


def bytes_per_token(settings: Any, *, tokens_have_logits: bool) -> int:
    """Bytes that a token takes in a forward and backward pass."""
    settings = settings.get_text_config()  # also for models with image input
    width = _first_setting(settings, "hidden_size", "n_embd", "d_model", default=1024)
    layers = _first_setting(settings, "num_hidden_layers", "n_layer", "num_layers", default=24)
    vocabulary = settings.vocab_size if tokens_have_logits else 0
    return 2 * BYTES_PER_WIDTH * width * layers + 4 * LOGIT_COPIES * vocabulary


def gpu_memory(device: torch.device, share: float) -> int | None:
    """The bytes of a GPU's memory that are this run's, its `share`; None for a CPU."""
    return int(share * torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None


def _first_setting(settings: Any, *names: str, default: int) -> int:
    """The value of the first of `names` that the configuration has, as models use different names."""
    return next((int(getattr(settings, name)) for name in names if hasattr(settings, name)), default)
