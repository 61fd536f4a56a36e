"""Liger's fused kernels for norms, activations and rotary positions, where the package liger-kernel is installed.

Liger replaces functions of transformers' modules and methods of a model's parts. What comes out is compared with what
the model gave before; if it differs, everything is put back. The loss stays `passingloop.model.chunked_loss`.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from subprocess import SubprocessError
from typing import Any

import torch
from torch import Tensor

from passingloop.model.attention import ROUNDING, evaluating, plain_model

log = logging.getLogger("passingloop")

CHOSEN = {
    "rope": True,
    "rms_norm": True,
    "layer_norm": True,
    "swiglu": True,
    "geglu": True,
    "cross_entropy": False,
    "fused_linear_cross_entropy": False,
}
"""What Liger may replace. It passes over what a model does not have."""


def use_liger(model: Any, vocabulary: int) -> bool:
    """Have `model` compute with Liger's kernels, if they are there and give the same logits. Whether it does now."""
    if model.device.type != "cuda" or importlib.util.find_spec("liger_kernel") is None:
        return False
    return replace_by_liger(model, vocabulary)


def replace_by_liger(model: Any, vocabulary: int) -> bool:
    """`use_liger`, on the device on which the model is."""
    plain = plain_model(model)
    ids = (torch.arange(11, device=model.device) % (vocabulary - 1) + 1)[None]
    expected = _logits(model, ids)
    parts = [*plain.modules(), *{sys.modules[type(part).__module__]: None for part in plain.modules()}]
    before = [dict(vars(part)) for part in parts]
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance

        _apply_liger_kernel_to_instance(model=plain, **CHOSEN)
        if all(dict(vars(part)) == kept for part, kept in zip(parts, before, strict=True)):
            return False  # it has nothing for this model
        if (_logits(model, ids) - expected).abs().max() <= ROUNDING * expected.abs().max():
            return True
        log.info("Liger's kernels are left out: the logits would differ")
    except _failures() as error:
        first_line = next(iter(str(error).strip().splitlines()), "")
        log.info("Liger's kernels are left out: %s: %s", type(error).__name__, first_line)
    for part, kept in zip(parts, before, strict=True):
        vars(part).clear()
        vars(part).update(kept)
    return False


def _failures() -> tuple[type[Exception], ...]:
    """What is raised where the package does not fit the model or its libraries, or its kernels cannot be compiled."""
    known = (ImportError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, OSError, SubprocessError)
    of_triton = getattr(sys.modules.get("triton"), "TritonError", None)
    return (*known, of_triton) if of_triton else known


def _logits(model: Any, ids: Tensor) -> Tensor:
    with torch.no_grad(), evaluating(model):
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits
