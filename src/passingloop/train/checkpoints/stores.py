"""What of the state a process copies for a save, and how it writes the copies: all of it, or its shards."""

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
from passingloop.train.checkpoints import format, tensors
from passingloop.train.checkpoints.format import Progress
from passingloop.train.checkpoints.manifest import Measured

Copied = Mapping[str, Tensor]


class Store(Protocol):
    """A way to write checkpoints."""

    def tensors(self) -> dict[str, Tensor]:
        """What is to be copied, as it is now; by name."""

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig) -> None:
        """Write copies of `tensors` as a new checkpoint, in any thread.

        Raises:
            NotSaved: the file system does not take it.
        """


class WholeStore:
    """One process has everything, and writes it."""

    def __init__(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._module, self._optimizer = module, optimizer
        self._weights: frozenset[str] = frozenset()

    def tensors(self) -> dict[str, Tensor]:
        weights = tensors.weights(self._module)
        self._weights = frozenset(weights)
        return weights | tensors.optimizer_state(self._module, self._optimizer)

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig) -> None:
        def fill(folder: Path) -> Mapping[str, Measured]:
            weights = {name: tensor for name, tensor in copies.items() if name in self._weights}
            state = {name: tensor for name, tensor in copies.items() if name not in self._weights}
            format.write_tensors(folder, weights, state)
            return {}

        format.write(run, progress, fill, keep=config.keep, keep_best=config.keep_best)


class ShardStore:
    """Every process has a part of everything and writes it; the first makes a checkpoint of the parts."""

    def __init__(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, *, leads: bool) -> None:
        from passingloop.train.checkpoints import shards  # takes a while to load, for those who use it

        self._files = shards
        self._module, self._optimizer, self._leads = module, optimizer, leads
        self._group = shards.make_group()
        self._sharded: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        # Not in `write`: to ask for the state is to divide it again, in the middle of what another thread computes.
        self._sharded = tensors.weights(self._module) | tensors.optimizer_state(self._module, self._optimizer)
        return self._files.local_parts(self._sharded)

    def write(self, run: RunDir, progress: Progress, copies: Copied, config: CheckpointConfig) -> None:
        tensors = self._files.with_placements(copies, self._sharded)
        if not self._leads:
            self._write_shard(run, progress, tensors)
            return
        trouble = None

        def fill(folder: Path) -> Mapping[str, Measured]:
            self._broadcast(None)  # the folder is there
            measured: Mapping[str, Measured] = self._files.save(folder, tensors, self._group)
            return measured

        try:
            format.write(run, progress, fill, keep=config.keep, keep_best=config.keep_best)
        except NotSaved as error:
            trouble = error
        self._broadcast(str(trouble) if trouble else None)
        if trouble:
            raise trouble

    def _write_shard(self, run: RunDir, progress: Progress, tensors: Copied) -> None:
        """What the other processes do: write when the folder is there, and hear what has become of it."""
        if (trouble := self._broadcast(None)) is None:
            folder = format.partial_path(run.checkpoint(progress.step))
            with suppress(NotSaved):  # on all processes alike; the first says more
                self._files.save(folder, tensors, self._group)
            trouble = self._broadcast(None)
        if trouble:
            raise NotSaved(trouble)

    def _broadcast(self, word: str | None) -> str | None:
        """The first process's word, to all."""
        words = [word]
        torch.distributed.broadcast_object_list(words, src=0, group=self._group)
        return words[0]
