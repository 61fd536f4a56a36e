"""How a model uses its device: whole or sharded, and how many tokens a pass takes, by a formula and by trial."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from lightning.fabric import Fabric

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.data.cache.measurements import Measurements
from passingloop.model.device.blocks import Blocks
from passingloop.model.device.kernels import Compiler, kernel_key
from passingloop.model.device.memory import GpuMeter, gpu_memory, micro_batch_tokens
from passingloop.model.device.tuning import Tuned, Tuning
from passingloop.model.strategy import Sharing, choose_sharing
from passingloop.train.layout import Layout
from passingloop.train.material import Material
from passingloop.train.module import FineTuner
from passingloop.train.optim.optimizer import state_bytes
from passingloop.train.world import all_reduce, least
from passingloop.vitals.marks import MARKS

log = logging.getLogger("passingloop")

Shared = TypeVar("Shared")

ROWS_FROM = 4096
"""Of so many of the longest examples the fullest row is taken to try passes with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceMemory:
    """What a run may use of its device's memory."""

    share: float = 1.0
    """The share that is this run's, where several runs train on the device."""
    too_many: int | None = None
    """Tokens in a forward pass that have been too much: now half of them are the most."""

    @property
    def most_tokens(self) -> int:
        """Tokens in a forward pass at most."""
        return sys.maxsize if self.too_many is None else self.too_many // 2

    def bytes_of(self, fabric: Fabric) -> int | None:
        """The bytes that each process has on its GPU at least, so that all compute with the same; None on CPUs."""
        own = gpu_memory(fabric.device, self.share)
        return own if own is None or fabric.world_size == 1 else least(fabric, own)


@dataclass(frozen=True, kw_only=True, slots=True)
class Devices:
    """What a run trains on."""

    fabric: Fabric
    """Its processes, of which each has a device."""
    memory: DeviceMemory
    """What the run may use of it."""
    measurements: Measurements
    """What is known of it."""


def share_model(config: RunConfig, material: Material, module: FineTuner, devices: Devices) -> Sharing:
    """How the processes share the model, of which each still has the whole."""
    lengths, micro_batch = material.data.parts["train"].lengths, config.trainer.micro_batch
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def room(shards: int, held: int) -> int:
        budget = _budget(config, material, module, devices, shards, held)
        return budget if shards > 1 else min(budget, devices.memory.most_tokens)

    return choose_sharing(
        config.resources.strategy,
        devices.fabric.world_size,
        room,
        row=material.max_length if module.task.causal else int(lengths.max()),
        gradients=4 * trained,
        rows=None if micro_batch == "auto" else micro_batch,
    )


def _budget(config: RunConfig, material: Material, module: FineTuner, devices: Devices, shards: int, held: int) -> int:
    """Tokens of a pass, by the formula, if each process `held` so many bytes more. The same in all processes."""
    total, loss = devices.memory.bytes_of(devices.fabric), module.vocabulary_loss
    return micro_batch_tokens(
        module.model,
        material.settings,
        None if total is None else total - (loss.bytes if loss else 0),
        state_bytes(config.optim, module.parameters()) + shards * held,
        tokens_have_logits=module.task.causal and loss is None,
        shards=shards,
    )


def tune(
    config: RunConfig, material: Material, module: FineTuner, layout: Layout, devices: Devices, sharing: Sharing
) -> Tuned:
    """Choose how the model computes on its device, and how many tokens a pass takes. Nothing is left of the passes."""
    MARKS.enter("trying how to compute", "work")
    fabric = devices.fabric
    total, state = devices.memory.bytes_of(fabric), state_bytes(config.optim, module.parameters())
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    shards = fabric.world_size if sharing.is_sharded else 1
    # What a trial does not have: the buckets in which DDP averages gradients, and whole gradients of a sharded model.
    gradients = 4 * trained if fabric.world_size > 1 and (sharing.keeps_gradients or not sharing.is_sharded) else 0
    passes = LongestRows(module, layout, fabric, config)
    key = kernel_key(fabric.device) | _pass_key(config, material, module, layout, passes.width, shards)
    tokens = _training_tokens(config, layout) / fabric.world_size
    was_training = module.model.training
    module.train()  # with dropout, as in training
    tuned = Tuning(
        device=fabric.device,
        blocks=Blocks(module.model),
        passes=passes,
        group=Processes(fabric),
        meter=None if total is None else GpuMeter(fabric.device, total),
        expected_tokens=_budget(config, material, module, devices, shards, gradients if sharing.keeps_gradients else 0),
        held=state // shards + gradients,
        micro_batch=config.trainer.micro_batch,
        compile=config.trainer.compile,
        compiler=Compiler(log.info),
        flops=6.0 * sum(p.numel() for p in module.parameters()) * tokens,
        is_sharded=sharing.is_sharded,
        key=key,
        measurements=devices.measurements,
    ).choose()
    module.model.train(was_training)
    module.zero_grad()
    return tuned


def _pass_key(
    config: RunConfig, material: Material, module: FineTuner, layout: Layout, width: int, shards: int
) -> dict[str, str | int]:
    """What the time and the memory of a pass depend on beside the device."""
    settings = {name: value for name, value in material.settings.to_dict().items() if name != "_name_or_path"}
    content = [settings, to_plain(config.adapter), config.model.dropout, config.task, config.trainer.deterministic]
    content += [sum(p.numel() for p in module.parameters()), config.trainer.kernels]
    content += [layout.attention.description, layout.unpadded, layout.flat]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return {"model": digest, "precision": "bf16" if module.bf16 else "fp32", "length": width, "shards": shards}


def _training_tokens(config: RunConfig, layout: Layout) -> float:
    """About how many tokens the run trains on, over all its steps."""
    lengths, trainer = layout.tokens.lengths, config.trainer
    if trainer.steps is None:
        return float(lengths.sum()) * (trainer.epochs or 0.0)
    return trainer.steps * (trainer.batch_tokens or (trainer.batch_size or 0) * float(lengths.mean()))


class LongestRows:
    """Passes over copies of the fullest row of the training data."""

    def __init__(self, module: FineTuner, layout: Layout, fabric: Fabric, config: RunConfig) -> None:
        self._module, self._layout, self._fabric = module, layout, fabric
        lengths, trainer = layout.tokens.lengths, config.trainer
        longest_first = np.argsort(-lengths, kind="stable")
        batches = list(layout.micro_batches(longest_first[:ROWS_FROM]))
        self._row = max((row for rows in batches for row in rows), key=lambda row: int(lengths[row].sum()))
        self.set_rows = max(map(len, batches))
        self._short = [int(longest_first[-1])]
        self.width = layout.batch([self._row], 1.0)["inputs"]["input_ids"].shape[1]
        examples = trainer.batch_size or (trainer.batch_tokens or 0) / float(lengths.mean())
        self.step_rows = max(1, round(examples / len(self._row) / fabric.world_size))

    def run(self, rows: int, *, padded: bool = False) -> None:
        """See `passingloop.model.device.tuning.Passes`."""
        last = self._short if padded and rows > 1 else self._row
        batch = self._layout.batch([self._row] * (rows - 1) + [last], 1.0)
        self._fabric.backward(self._module.training_step(self._fabric.to_device(batch)))
        if self._fabric.device.type == "cuda":
            torch.cuda.synchronize(self._fabric.device)


class Processes:
    """The processes of a run, as `passingloop.model.device.tuning.Group`."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.leads = fabric.global_rank == 0

    def share(self, value: Shared) -> Shared:
        return self._fabric.broadcast(value)

    def largest(self, value: float) -> float:
        return float(all_reduce(self._fabric, torch.tensor(value, device=self._fabric.device), "max"))
