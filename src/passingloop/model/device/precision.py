"""The number format of matrix products: what is asked for, or what a measurement on the device says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from passingloop.config.settings import Precision
from passingloop.data.cache.measurements import Figures, Key, Measurements
from passingloop.model.device.kernels import kernel_key
from passingloop.model.device.memory import first_setting

SECONDS = 0.5
"""How long passes are timed, after the first ones, which prepare. With these it takes less than a second."""

PASSES = 2
"""In each format at least, however long they take."""

ROWS = {"cpu": 16, "cuda": 128}
ROW = 32
"""Rows that are measured, and tokens in each. Fewer tokens would measure the casts of weights to bf16."""

HEAD = 64
"""Width of an attention head."""

WIDEST = {"cpu": 512, "cuda": 2048}
"""The widest layer that is measured, for the time that it takes; the ratio changes little beyond."""


@dataclass(frozen=True, slots=True)
class Format:
    """A number format, and what is known of it."""

    name: str
    """``bf16`` or ``fp32``."""
    cost: float | None
    """The time of a pass in bf16 as a multiple of that in fp32; None if it was not measured."""

    def __str__(self) -> str:
        if self.cost is None:
            return self.name
        if self.name == "fp32":
            return f"fp32: in bf16 a layer takes {self.cost:.2g} × the time"
        advice = "; a run with trainer.precision=fp32 is faster here" if self.cost > SLOWER else ""
        return f"bf16: a layer takes {self.cost:.2g} × the time of fp32{advice}"


SLOWER = 1.1
"""Cost of bf16 from which fp32 is recommended for a run that has bf16."""


def choose_format(
    wanted: Precision, pinned: str | None, device: torch.device, settings: Any, measurements: Measurements
) -> Format:
    """The number format of a run on this device.

    `auto` is bf16 where the hardware has bf16 matrix products and a layer is trained faster with them: by its flags
    alone a CPU may be slower in bf16 (pytorch #86270).

    Args:
        pinned: what the run's first attempt has settled; None in the first attempt.
        settings: the model's transformers configuration, of whose width the measured layer is.
    """
    name = pinned or (None if wanted == "auto" else wanted)
    if wanted != "auto" and name == "fp32":
        return Format("fp32", None)
    if name is None and not has_bf16(device):
        return Format("fp32", None)
    cost = _remembered_cost(device, settings, measurements)
    return Format(name or ("bf16" if cost < 1 else "fp32"), cost)


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware has bf16 matrix products. Without AVX-512 BF16 or AMX a CPU emulates them, and is slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _remembered_cost(device: torch.device, settings: Any, measurements: Measurements) -> float:
    width, inner = layer_widths(settings, WIDEST[device.type])
    key: Key = {"what": "bf16", **kernel_key(device), "width": width, "inner": inner}
    figures: Figures | None = measurements.find(key)
    if figures is None or not figures.get("cost"):
        figures = {"cost": round(bf16_cost(width, inner, device), 3)}
        measurements.keep(key, figures)
    return figures["cost"]


def layer_widths(settings: Any, widest: int) -> tuple[int, int]:
    """Width of a model's layers and of the inner part of their feed-forward networks, in whole heads, not too wide."""
    settings = settings.get_text_config()
    width = first_setting(settings, "hidden_size", "n_embd", "d_model", default=1024)
    inner = first_setting(settings, "intermediate_size", "n_inner", "ffn_dim", "d_ff", "d_inner", default=4 * width)
    scale = min(1.0, widest / max(width, 1))
    heads, ratio = max(1, round(width * scale / HEAD)), min(max(inner / width, 1.0), 8.0)
    return heads * HEAD, round(heads * ratio) * HEAD


def bf16_cost(width: int, inner: int, device: torch.device) -> float:
    """The time of a transformer layer, forward and backward, in bf16 (autocast) as a multiple of that in fp32.

    It is the ratio of the shortest of several passes, as other processes may be busy; on a CPU of one thread, whose own
    time is measured. The state of the random number generators stays what it was.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus), _one_thread():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(width, width // HEAD, inner, batch_first=True, device=device)
        hidden = torch.randn(ROWS[device.type], ROW, width, device=device)
        shortest = _shortest_seconds(lambda bf16: _seconds_of_pass(layer, hidden, bf16=bf16))
    return shortest[True] / shortest[False]


def _shortest_seconds(measure: Callable[[bool], float]) -> dict[bool, float]:
    """The shortest time in bf16 (True) and in fp32, of passes that take turns."""
    for bf16 in (False, True):
        measure(bf16)  # which prepares
    seconds: dict[bool, list[float]] = {False: [], True: []}
    began = time.perf_counter()
    while len(seconds[True]) < PASSES or time.perf_counter() - began < SECONDS:
        for bf16, measured in seconds.items():
            measured.append(measure(bf16))
    return {bf16: min(measured) for bf16, measured in seconds.items()}


def _seconds_of_pass(layer: nn.Module, hidden: torch.Tensor, *, bf16: bool) -> float:
    before = _now(hidden.device)
    with torch.autocast(hidden.device.type, torch.bfloat16, enabled=bf16):
        result = layer(hidden)
    result.float().sum().backward()
    return _now(hidden.device) - before


def _now(device: torch.device) -> float:
    """Seconds: of this thread on a CPU; on a GPU those of the clock, when all work is done."""
    if device.type == "cpu":
        return time.thread_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def _one_thread() -> Iterator[None]:
    """On the CPU, one thread computes meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
