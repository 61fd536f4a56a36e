"""The model to be trained, with its loss, optimizer and layout, on its device."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.config.data import Part
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.model.adapters.frozen import packed_away
from passingloop.model.attention import sees_following_tokens
from passingloop.model.attention_choice import choose_attention
from passingloop.model.chunked_loss import chunk_tokens, find_vocabulary_loss
from passingloop.model.device.memory import gpu_memory
from passingloop.model.device.tuning import Tuned
from passingloop.model.encoders.dropout import replace_dropout
from passingloop.model.encoders.flat import run_flat
from passingloop.model.encoders.unpadded import run_unpadded
from passingloop.model.liger import use_liger
from passingloop.model.packed_attention import POSITIONS, PackedAttention
from passingloop.model.pretrained import input_embedding
from passingloop.model.strategy import Sharing
from passingloop.model.weights import Head, LoadedModel, load_model
from passingloop.tasks.task import LearningTask, learning_task
from passingloop.train.adapter_choice import adapt
from passingloop.train.compatibility import check_end_tokens, check_vocabulary, find_padding_side
from passingloop.train.layout import Layout
from passingloop.train.material import Material
from passingloop.train.module import FineTuner
from passingloop.train.optim.optimizer import FusedAdamW
from passingloop.train.passes import Devices, share_model, tune

log = logging.getLogger("passingloop")

TENSOR_CORE_MULTIPLE = 8
"""Rows of a multiple of 8 tokens keep 16-bit matrix products on tensor cores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """A model in training."""

    module: FineTuner
    """The module itself, for evaluation, checkpoints and export."""
    wrapped: Any
    """The module as Fabric wraps it, for training steps; the module itself if it is sharded."""
    optimizer: Any
    layouts: dict[Part, Layout]
    names: Sequence[str]
    """Of what the head gives; none for a head over the vocabulary."""
    loaded: LoadedModel
    adapter: str | None
    """What the run's header says of LoRA; None without it."""
    sharing: Sharing
    tuned: Tuned
    """How it computes on this device."""
    hollow: torch.nn.Module | None
    """What `passingloop.model.sharding.gather_model` needs for a sharded model; None for any other."""
    liger: bool
    """Whether it computes with Liger's kernels."""

    @property
    def is_sharded(self) -> bool:
        return self.hollow is not None

    def finish(self, model: Any) -> Any:
        """`model`, which is the trained one or a copy of it, as it is exported: it stands alone."""
        self.module.task.finish(model, self.module.statistics)
        return model

    @property
    def parameters(self) -> tuple[int, int]:
        """How many parameters there are, and how many of them are trained."""
        sizes = [(p.numel(), p.requires_grad) for p in self.module.parameters()]
        return sum(size for size, _ in sizes) + packed_away(self.module), sum(
            size for size, trained in sizes if trained
        )


def make_learner(
    config: RunConfig, material: Material, devices: Devices, *, bf16: bool, quantize: str = "none"
) -> Learner:
    """Load the model and make it ready to train.

    Args:
        quantize: the settled value of `adapter.quantize`.

    Raises:
        ConfigError: the model cannot be loaded for this task, or does not do it.
    """
    fabric, task = devices.fabric, learning_task(config.task)
    names = task.names(config, material.data.label_names)
    head = Head(task.auto, task.head(names), is_pretrained=task.causal)
    loaded = load_model(material.origin, config.model, material.settings, head, material.tokenizer, config.trainer.seed)
    embedding = input_embedding(loaded.model)
    _check_fit(config, material, loaded, task, embedding)
    module, adapter = _module(config, material, loaded, names, devices, quantize, bf16=bf16)
    sharing = share_model(config, material, module, devices)
    computing = _place(config, material, module, fabric, sharing)
    layouts = _layouts(config, material, module, fabric, len(names), computing)
    _freeze_unused(module, layouts["train"], fabric)
    tuned = tune(config, material, module, layouts["train"], devices, sharing)
    most = min(tuned.tokens, devices.memory.most_tokens)
    layouts = {part: dataclasses.replace(layout, batch_tokens=most) for part, layout in layouts.items()}
    optimizer = module.configure_optimizers()
    alone = fabric.world_size == 1 and computing.flat
    if alone and isinstance(optimizer, FusedAdamW) and embedding is not None and embedding.weight.requires_grad:
        optimizer.watch_rows(embedding)
    wrapped, wrapped_optimizer = _wrap(module, optimizer, layouts["train"], fabric, sharing)
    return Learner(
        module=module,
        wrapped=wrapped,
        optimizer=wrapped_optimizer,
        layouts=layouts,
        names=names,
        loaded=loaded,
        adapter=adapter,
        sharing=sharing,
        tuned=tuned,
        hollow=computing.hollow,
        liger=computing.liger,
    )


def _check_fit(
    config: RunConfig, material: Material, loaded: LoadedModel, task: LearningTask, embedding: torch.nn.Embedding | None
) -> None:
    """Check that model, tokenizer and data fit together."""
    if embedding is not None:
        check_vocabulary(config, material.tokenizer, material.data.parts, embedding.num_embeddings)
    if not task.causal:
        check_end_tokens(config, loaded.model, material.data.parts)


def _module(
    config: RunConfig,
    material: Material,
    loaded: LoadedModel,
    names: Sequence[str],
    devices: Devices,
    quantize: str,
    *,
    bf16: bool,
) -> tuple[FineTuner, str | None]:
    """The model with its task, adapter and loss, and what the run's header says of the adapter."""
    task, fabric, memory = learning_task(config.task), devices.fabric, devices.memory
    statistics = task.statistics(config, loaded.model, material.data.parts["train"], names)
    task.start(loaded.model, statistics, loaded.kept)
    model, adapter = adapt(config, material, loaded, fabric, memory.bytes_of(fabric), quantize, bf16=bf16)
    module = FineTuner(model, task, config.optim, bf16=bf16, statistics=statistics)
    if task.causal:
        vocabulary = len(material.tokenizer)
        chunk = chunk_tokens(vocabulary, gpu_memory(fabric.device, memory.share))
        module.vocabulary_loss = find_vocabulary_loss(module.model, vocabulary, chunk)
    return module, adapter


@dataclass(frozen=True, kw_only=True, slots=True)
class _Computing:
    """How the model computes on its device; as it does by itself where nothing is chosen."""

    attention: PackedAttention | None
    """Of packed rows; None if rows are padded."""
    flat: bool
    """By `passingloop.model.encoders.flat`."""
    unpadded: bool
    """By `passingloop.model.encoders.unpadded`."""
    liger: bool
    hollow: torch.nn.Module | None
    """See `Learner`; None if the model is not sharded."""


def _place(config: RunConfig, material: Material, module: FineTuner, fabric: Fabric, sharing: Sharing) -> _Computing:
    """Put the model on its device, its part of it if it is sharded, and choose how it computes there."""
    task, vocabulary = module.task, len(material.tokenizer)
    flat = unpadded = False
    if fabric.device.type == "cpu":
        replace_dropout(module.model)
        # It uses the weights of all layers itself: those of a sharded model are only there while the layers run.
        flat = not task.causal and not sharing.is_sharded and run_flat(module.model)
    elif not task.causal:
        unpadded = run_unpadded(module.model, fabric.device, bf16=module.bf16)
    if not sharing.is_sharded:
        module.to(fabric.device)
    attention = _packed_attention(module, material, fabric)
    liger = task.causal and config.trainer.kernels == "auto" and use_liger(module.model, vocabulary)
    hollow = None
    if sharing.is_sharded:
        from passingloop.model.sharding import shard_model  # takes a while to load, for those who use it

        hollow = shard_model(module.model, fabric.device, fabric.world_size)
    module.to(fabric.device)
    if task.causal and sees_following_tokens(module.model, vocabulary):
        raise ConfigError(
            f"You set task={config.task}, but {config.model.path} is an encoder: it would see the tokens it is to "
            "predict. Set model.path to a causal language model."
        )
    return _Computing(attention=attention, flat=flat, unpadded=unpadded, liger=liger, hollow=hollow)


def _wrap(module: FineTuner, optimizer: Any, layout: Layout, fabric: Fabric, sharing: Sharing) -> tuple[Any, Any]:
    """Module and optimizer as Fabric wraps them; a sharded module stays itself."""
    if sharing.is_sharded:
        return module, fabric.setup_optimizers(optimizer)
    wrapped, wrapped_optimizer = fabric.setup(module, optimizer)
    if fabric.world_size > 1:
        _fill_buckets(wrapped, layout, fabric)
    return wrapped, wrapped_optimizer


def _layouts(
    config: RunConfig, material: Material, module: FineTuner, fabric: Fabric, classes: int, computing: _Computing
) -> dict[Part, Layout]:
    """Layouts whose batches have no limit of tokens yet."""
    task = module.task
    packed = computing.attention is not None
    wanted = config.trainer.micro_batch
    pad, train = material.tokenizer.pad_token_id, material.data.parts["train"]
    side = None if packed else find_padding_side(config, module, train, pad)
    if side == "left":
        material.tokenizer.padding_side = material.tokenizer.init_kwargs["padding_side"] = side  # for the export
    statistics = None if module.statistics is None else module.statistics.cpu()  # to lay out waits for no device
    return {
        part: Layout(
            tokens,
            task,
            pad,
            row_tokens=material.max_length if packed else None,
            batch_tokens=sys.maxsize,
            batch_examples=None if wanted == "auto" else wanted,
            multiple=TENSOR_CORE_MULTIPLE if fabric.device.type == "cuda" and (packed or side) else 1,
            pad_left=side == "left",
            statistics=statistics if part == "train" else None,
            classes=classes,
            even=computing.hollow is not None,
            attention=computing.attention or POSITIONS,
            unpadded=computing.unpadded,
            flat=computing.flat or computing.unpadded,
        )
        for part, tokens in material.data.parts.items()
    }


def _packed_attention(module: FineTuner, material: Material, fabric: Fabric) -> PackedAttention | None:
    """The attention of packed rows, which the model uses from now on; None if rows are padded."""
    if not module.task.causal:
        return None
    chosen = (len(material.tokenizer), material.max_length, fabric.device)
    return choose_attention(module.model, *chosen, bf16=module.bf16)


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
