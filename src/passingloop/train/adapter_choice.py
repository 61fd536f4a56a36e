"""The adapter of a run: whether its frozen weights are quantised, by the memory of its GPUs, and how it is added."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.config.settings import RunConfig
from passingloop.model.adapters.adapter_memory import describe_adapter, fits_unquantized, held, resolve_quantize
from passingloop.model.adapters.adapters import add_adapter
from passingloop.model.weights import LoadedModel
from passingloop.tasks.task import learning_task
from passingloop.train.material import Material


def settle_quantize(
    config: RunConfig, material: Material, fabric: Fabric, gpu_memory: int | None, *, bf16: bool
) -> str:
    """The value of `adapter.quantize` with which a run begins.

    Args:
        gpu_memory: bytes of the GPU that are the run's; None on a CPU.
        bf16: whether it computes in bf16.
    """
    task, use = learning_task(config.task), _use(config, material, fabric, bf16=bf16)
    return resolve_quantize(config.adapter, material.settings, task.auto, gpu_memory, **use)


def adapt(
    config: RunConfig,
    material: Material,
    loaded: LoadedModel,
    fabric: Fabric,
    gpu_memory: int | None,
    quantize: str,
    *,
    bf16: bool,
) -> tuple[torch.nn.Module, str | None]:
    """The loaded model with the adapter of `config`, and what the header says of that; None without one.

    Args:
        quantize: the settled value of `adapter.quantize`. The others are those of `settle_quantize`.
    """
    chosen, task = config.adapter, learning_task(config.task)
    if chosen.kind == "none":
        return loaded.model, None
    fits = None
    if gpu_memory is not None:
        use = _use(config, material, fabric, bf16=bf16)
        fits = fits_unquantized(loaded.model, chosen, material.settings, gpu_memory, **use)
    model = add_adapter(
        loaded.model,
        chosen,
        config.trainer.seed,
        new=loaded.new,
        classifies=not task.causal,
        held=held(quantize, bf16=bf16),
        device=fabric.device,
    )
    return model, describe_adapter(model, chosen, quantize, fits)


def _use(config: RunConfig, material: Material, fabric: Fabric, *, bf16: bool) -> dict[str, Any]:
    """How the run uses its memory, for `fits_unquantized`. Several processes share a model that does not fit in one."""
    return {
        "bf16": bf16,
        "row_tokens": material.max_length,
        "tokens_have_logits": learning_task(config.task).causal,
        "shards": 1 if config.resources.strategy == "ddp" else fabric.world_size,
    }
