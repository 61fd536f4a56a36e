"""Model FLOPs utilisation (MFU): the share of the GPUs' peak that a run's model computations are.

Chowdhery et al., "PaLM" (arXiv:2204.02311), appendix B: a token takes 6 N floating-point operations for N parameters,
forward and backward; attention's own 12 L H Q T are left out here, so the figure is a little too low for long texts.
With LoRA no gradients of the frozen weights are computed: 4 N. Parameters of embeddings only look up, and do not count,
unless they are the output layer as well.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from passingloop.usage.run_records import RunRecord

PEAK_FLOPS = {
    "a10": 125e12, "a30": 165e12, "a40": 150e12, "a100": 312e12, "a800": 312e12, "l4": 121e12, "l40": 181e12,
    "l40s": 362e12, "h100": 989e12, "h200": 989e12, "h20": 148e12, "gh200": 989e12, "b200": 2250e12,
}  # fmt: skip
"""Dense bf16 operations per second of a GPU with tensor cores (NVIDIA's data sheets; with sparsity they are twice as
many). PCIe variants have less."""

MAX_HEADER = 100_000_000
"""Bytes that the header of a safetensors file has at most, by its format; a damaged length may say anything."""

EMBEDDINGS = ("embed", "wte", "wpe")


def model_flops_utilization(record: RunRecord) -> float | None:
    """The MFU of a complete run over its time in training, with evaluations; None if something for it is unknown."""
    result, peak = record.result or {}, _peak(record)
    starts = [record.start(attempt.attempt) for attempt in record.attempts]
    sizes = {start.gpus * len(start.nodes) for start in starts if start.gpus}
    tokens, seconds = result.get("tokens"), result.get("train_seconds")
    if peak is None or len(sizes) != 1 or not tokens or not seconds:
        return None
    parameters = _parameters(
        record.run.export / "model.safetensors", is_causal=record.settings.get("task") == "causal_lm"
    )
    if parameters is None:
        return None
    per_token = 4 if record.settings.get("adapter", {}).get("kind") == "lora" else 6
    return float(per_token * parameters * tokens / (seconds * sizes.pop() * peak))


def _peak(record: RunRecord) -> float | None:
    """The peak of a GPU of the run; None if its type is not known."""
    devices = {attempt.gpu_type for attempt in record.attempts if attempt.gpu_type}
    words = {word for name in devices for word in name.lower().replace("-", " ").replace("_", " ").split()}
    if "mig" in words:
        return None
    peaks = {PEAK_FLOPS[word] for word in words if word in PEAK_FLOPS}
    return peaks.pop() if len(peaks) == 1 else None


def _parameters(path: Path, *, is_causal: bool) -> int | None:
    """The parameters that compute, from the header of a safetensors file: 8 bytes with its length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER:
                return None
            header: dict[str, Any] = json.loads(file.read(length))
        shapes = {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None
    is_tied = is_causal and not any("lm_head" in name for name in shapes)
    counted = (shape for name, shape in shapes.items() if is_tied or not any(word in name for word in EMBEDDINGS))
    return sum(map(math.prod, counted))
