"""Which tensors a process copies for a checkpoint, and how it writes the copies: all tensors, or its shards."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from passingloop.config.running import CheckpointConfig
from passingloop.errors import NotSaved
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints import format, tensors
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.manifest import Measured

Copied = Mapping[str, Tensor]


class Store(Protocol):
    """A way to write checkpoints."""

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to copy, by name."""

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig, fence: Fence) -> None:
        """Write copies of `tensors` as a new checkpoint, in any thread.

        Raises:
            NotSaved: a file cannot be written.
            Superseded: a newer attempt has started.
        """


class WholeStore:
    """One process has all tensors and writes them."""

    def __init__(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._module, self._optimizer = module, optimizer
        self._weights: frozenset[str] = frozenset()

    def tensors(self) -> dict[str, Tensor]:
        weights = tensors.weights(self._module)
        self._weights = frozenset(weights)
        return weights | tensors.optimizer_state(self._module, self._optimizer)

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig, fence: Fence) -> None:
        def fill(folder: Path) -> Mapping[str, Measured]:
            weights = {name: tensor for name, tensor in copies.items() if name in self._weights}
            state = {name: tensor for name, tensor in copies.items() if name not in self._weights}
            format.write_tensors(folder, weights, state)
            return {}

        format.write(run, progress, fill, fence, keep=config.keep, keep_best=config.keep_best)


class ShardStore:
    """Every process has a shard of each tensor and writes it; the first process writes the manifest."""

    def __init__(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, *, leads: bool) -> None:
        from passingloop.train.checkpoints import shards  # slow to import, and needed for shards only

        self._files = shards
        self._module, self._optimizer, self._leads = module, optimizer, leads
        self._group = shards.make_group()
        self._sharded: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        # Not in `write`: collecting the state runs DTensor operations, which the writing thread must not do meanwhile.
        self._sharded = tensors.weights(self._module) | tensors.optimizer_state(self._module, self._optimizer)
        return self._files.local_parts(self._sharded)

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig, fence: Fence) -> None:
        tensors = self._files.with_placements(copies, self._sharded)
        if not self._leads:
            self._write_shard(run, progress, tensors, fence)
            return
        trouble = None

        def fill(folder: Path) -> Mapping[str, Measured]:
            self._broadcast(None)  # the folder is there
            measured: Mapping[str, Measured] = self._files.save(folder, tensors, self._group)
            return measured

        try:
            format.write(run, progress, fill, fence, keep=config.keep, keep_best=config.keep_best)
        except NotSaved as error:
            trouble = error
        self._broadcast(str(trouble) if trouble else None)
        if trouble:
            raise trouble

    def _write_shard(self, run: RunDir, progress: Progress, tensors: Copied, fence: Fence) -> None:
        """Of every process but the first: wait for the folder, write into it, and learn whether the save failed."""
        if (trouble := self._broadcast(None)) is None:
            folder = format.partial_path(run.checkpoint(progress.step), fence.attempt)
            with suppress(NotSaved):  # every process has it; the message of the first is raised below
                self._files.save(folder, tensors, self._group)
            trouble = self._broadcast(None)
        if trouble:
            raise NotSaved(trouble)

    def _broadcast(self, problem: str | None) -> str | None:
        """The first process's `problem`, on every process; None if there is none."""
        problems = [problem]
        torch.distributed.broadcast_object_list(problems, src=0, group=self._group)
        return problems[0]
