"""The model to be trained, with its loss, optimizer and layout, on its device."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.config.data import Part
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.model import pretrained
from passingloop.model.adapters import adapt
from passingloop.model.attention import keeps_apart, looks_ahead
from passingloop.model.memory import gpu_memory, micro_batch_tokens
from passingloop.train.layout import Layout
from passingloop.train.material import Material
from passingloop.train.module import FineTuner
from passingloop.train.optim import state_bytes

TENSOR_CORE_MULTIPLE = 8
"""Rows of a multiple of 8 tokens keep 16-bit matrix products on tensor cores."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A model in training."""

    module: FineTuner
    """The module itself, for evaluation, checkpoints and export."""
    wrapped: Any
    """The module as Fabric wraps it, for training steps; the module itself if it is sharded."""
    optimizer: Any
    layouts: dict[Part, Layout]
    classes: int
    """0 for causal_lm."""
    hollow: torch.nn.Module | None
    """Of a model that is spread over the processes what `passingloop.model.sharding.whole` needs; None of any other."""

    @property
    def is_sharded(self) -> bool:
        return self.hollow is not None

    @property
    def parameters(self) -> tuple[int, int]:
        """How many parameters there are, and how many of them are trained."""
        sizes = [(p.numel(), p.requires_grad) for p in self.module.parameters()]
        return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)


def make_learner(config: RunConfig, material: Material, fabric: Fabric, too_many: int | None, *, bf16: bool) -> Learner:
    """Load the model and make it ready to train.

    Args:
        too_many: tokens in a forward pass that have been too much for the device's memory: now half of them are the
            most.

    Raises:
        ConfigError: the model cannot be loaded for this task, or does not do it.
    """
    names, tokenizer, seed = material.data.label_names, material.tokenizer, config.trainer.seed
    model = pretrained.load_model(material.origin, config.model, config.task, names, tokenizer.pad_token_id, seed)
    weights = _class_weights(config, material)
    module = FineTuner(
        adapt(model, config.adapter, config.task, seed), config.task, config.optim, bf16=bf16, class_weights=weights
    )
    hollow = None
    if config.resources.strategy == "fsdp" and fabric.world_size > 1:
        from passingloop.model.sharding import shard  # takes a while to load, for those who use it

        hollow = shard(module.model, fabric.device, fabric.world_size)
    module.to(fabric.device)
    if config.task == "causal_lm" and looks_ahead(module.model, len(tokenizer)):
        raise ConfigError(
            f"You set task=causal_lm, but {config.model.path} is an encoder: it would see the tokens it is to predict. "
            "Set model.path to a causal language model."
        )
    layouts = _layouts(config, material, module, fabric, weights, too_many, sharded=hollow is not None)
    _freeze_unused(module, layouts["train"], fabric)
    optimizer = module.configure_optimizers()
    if hollow is not None:
        return Learner(module, module, fabric.setup_optimizers(optimizer), layouts, len(names), hollow)
    wrapped, wrapped_optimizer = fabric.setup(module, optimizer)
    if fabric.world_size > 1:
        _fill_buckets(wrapped, layouts["train"], fabric)
    return Learner(module, wrapped, wrapped_optimizer, layouts, len(names), None)


def _layouts(
    config: RunConfig,
    material: Material,
    module: FineTuner,
    fabric: Fabric,
    weights: torch.Tensor | None,
    too_many: int | None,
    *,
    sharded: bool,
) -> dict[Part, Layout]:
    causal = config.task == "causal_lm"
    packed = causal and keeps_apart(module.model, len(material.tokenizer))
    wanted = config.trainer.micro_batch
    budget = micro_batch_tokens(
        module.model,
        material.settings,
        gpu_memory(fabric.device),
        state_bytes(config.optim, module.parameters()),
        tokens_have_logits=causal,
        shards=fabric.world_size if sharded else 1,
    )
    most = sys.maxsize if too_many is None else too_many // 2
    return {
        part: Layout(
            tokens,
            config.task,
            material.tokenizer.pad_token_id,
            row_tokens=material.max_length if packed else None,
            batch_tokens=min(budget if wanted == "auto" else sys.maxsize, most),
            batch_examples=None if wanted == "auto" else wanted,
            multiple=TENSOR_CORE_MULTIPLE if fabric.device.type == "cuda" else 1,
            weights=weights if part == "train" else None,
            even=sharded,
        )
        for part, tokens in material.data.parts.items()
    }


def _class_weights(config: RunConfig, material: Material) -> torch.Tensor | None:
    """examples / (classes × examples of the class): their mean over the examples is 1."""
    if config.trainer.class_weights == "none":
        return None
    labels = torch.from_numpy(material.data.parts["train"].labels.astype("int64"))  # type: ignore[union-attr]
    counts = torch.bincount(labels, minlength=len(material.data.label_names)).clamp(min=1)
    return len(labels) / (len(counts) * counts.float())


def _freeze_unused(module: FineTuner, layout: Layout, fabric: Fabric) -> None:
    """Freeze parameters that the loss does not depend on: DDP would wait for their gradients for ever.

    With one process too: an attempt with more of them must find the same parameters in its checkpoint.
    """
    fabric.backward(module.training_step(fabric.to_device(layout.batch([[0]], 1.0))))
    for parameter in module.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    module.zero_grad()


def _fill_buckets(wrapped: Any, layout: Layout, fabric: Fabric) -> None:
    """Let DDP arrange its buckets, which it does after its first backward pass, by the order of the gradients.

    Where a gradient lies in them decides in which order three or more processes are added up. Without this the first
    step of an attempt would round its sums differently from the same step in the middle of another.
    """
    fabric.backward(wrapped.training_step(fabric.to_device(layout.batch([[0]], 1.0))))
    wrapped.zero_grad()
