"""The memory of a device: how many tokens of a pass a formula expects to fit, and what a pass really takes."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch

BYTES_PER_WIDTH = 34
"""Bytes of activations that a transformer layer keeps per token and unit of width in 16 bits (Korthikanti et al. 2022,
arXiv:2205.05198, section 4.1), without attention scores, which fused kernels do not keep."""

LOGIT_COPIES = 3
"""Copies of the logits in fp32 that the loss needs: the logits, their log-softmax, and its gradient."""

USABLE = 0.7
"""The share of a GPU's memory that the formula fills; the rest is for what it leaves out."""

CAPACITY = 0.9
"""The share of a GPU's memory that passes may take at their peak. The rest is for what is not allocated through torch
(the CUDA context, NCCL) and for gaps between allocations."""

CONTEXTS = 2 * 2**30
"""Bytes that CUDA takes on a GPU for the contexts of its processes, at most."""

CPU_ROOM = 2 * 2**30
"""Bytes for a pass on a CPU, whose memory is shared with other programs."""

CPU_TOKENS = 4096
"""Tokens per pass on a CPU at most. Measured with MiniLM on one core: a token takes 460 µs in passes of 1,792 and of
3,584 tokens, 473 in 896, 477 in 7,168 (bf16; in fp32 797, 806, 811 and 869)."""


def micro_batch_tokens(
    model: torch.nn.Module,
    settings: Any,
    gpu_memory: int | None,
    optimizer_state: int,
    *,
    tokens_have_logits: bool,
    shards: int = 1,
) -> int:
    """The number of tokens, with padding, for one forward and backward pass of `model`, by a formula.

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
    width = first_setting(settings, "hidden_size", "n_embd", "d_model", default=1024)
    layers = first_setting(settings, "num_hidden_layers", "n_layer", "num_layers", default=24)
    vocabulary = settings.vocab_size if tokens_have_logits else 0
    return 2 * BYTES_PER_WIDTH * width * layers + 4 * LOGIT_COPIES * vocabulary


def gpu_memory(device: torch.device, share: float) -> int | None:
    """The bytes of a GPU's memory that are this run's, its `share`; None for a CPU."""
    return int(share * torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else None


def first_setting(settings: Any, *names: str, default: int) -> int:
    """The value of the first of `names` that the configuration has, as models use different names."""
    found = (getattr(settings, name, None) for name in names)
    return next((int(value) for value in found if value is not None), default)


class Meter(Protocol):
    """Measures what work takes of a device's memory."""

    capacity: float
    """Bytes that work may take at its peak."""

    @property
    def is_crowded(self) -> bool:
        """Whether others use memory that is this run's, so that what fits now is less than what fits in general."""

    @property
    def taken(self) -> float:
        """Bytes that this process has taken."""

    def reserve(self, total: float) -> bool:
        """Whether this process can have so many bytes, with those that it has taken. They are its own until the end of
        the next `peak`."""

    def peak(self, work: Callable[[], None], held: int) -> float:
        """Bytes at the peak of `work`, with what is there already, while `held` bytes more are taken.

        Infinite if memory ran out: that ends the work, and nothing else.
        """


class GpuMeter:
    """The memory of a GPU, of which `total` bytes are this run's."""

    def __init__(self, device: torch.device, total: int) -> None:
        self._device, self._total, self.capacity = device, total, CAPACITY * total

    @property
    def is_crowded(self) -> bool:
        free, all_bytes = torch.cuda.mem_get_info(self._device)
        others = all_bytes - free - torch.cuda.memory_reserved(self._device)
        return others > all_bytes - self._total + CONTEXTS

    @property
    def taken(self) -> float:
        return float(torch.cuda.memory_allocated(self._device))

    def reserve(self, total: float) -> bool:
        missing = max(0, int(total - self.taken))
        try:
            torch.empty(missing, dtype=torch.uint8, device=self._device)  # torch keeps what is freed
        except torch.OutOfMemoryError:
            return False
        return True

    def peak(self, work: Callable[[], None], held: int) -> float:
        torch.cuda.reset_peak_memory_stats(self._device)
        try:
            self._work(work, held)
        except torch.OutOfMemoryError:
            peak = math.inf
        else:
            peak = float(torch.cuda.max_memory_allocated(self._device))
        gc.collect()  # what a traceback has held
        torch.cuda.empty_cache()
        return peak

    def _work(self, work: Callable[[], None], held: int) -> None:
        taken = torch.empty(held, dtype=torch.uint8, device=self._device)
        work()
        torch.cuda.synchronize(self._device)
        del taken
