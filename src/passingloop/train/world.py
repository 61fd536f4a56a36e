"""This process's place among those of the run, and the Fabric that connects them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from passingloop.errors import Interrupted


@dataclass(frozen=True, slots=True)
class World:
    """Ranks as torch.distributed counts them."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    """Processes on this node; as many as on every other."""

    @classmethod
    def from_environment(cls) -> World:
        """From RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, which the launcher sets."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(os.environ[name]) for name in names))

    @property
    def nodes(self) -> int:
        return self.size // self.local_size

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0


class LaunchedEnvironment(ClusterEnvironment):
    """Tells Lightning that our launcher has started all processes, so that it starts and guesses nothing itself."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    creates_processes_externally = True
    main_address = property(lambda self: os.environ["MASTER_ADDR"])
    main_port = property(lambda self: int(os.environ["MASTER_PORT"]))

    @staticmethod
    def detect() -> bool:
        return False  # only ever passed explicitly

    def world_size(self) -> int:
        return self._world.size

    def global_rank(self) -> int:
        return self._world.rank

    def local_rank(self) -> int:
        return self._world.local_rank

    def node_rank(self) -> int:
        return self._world.rank // self._world.local_size

    def set_world_size(self, size: int) -> None:
        assert size == self._world.size

    def set_global_rank(self, rank: int) -> None:
        assert rank == self._world.rank


def make_fabric(world: World, gpus: int) -> Fabric:
    """Fabric for one process, or for DDP over all of them: NCCL with `gpus` per node, else gloo."""
    fabric = Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=gpus or world.local_size,
        num_nodes=world.nodes,
        strategy=DDPStrategy() if world.size > 1 else "auto",
        plugins=[LaunchedEnvironment(world)],  # for one process too, or Lightning would look for Slurm
    )
    fabric.launch()
    return fabric


@contextmanager
def connected(world: World, gpus: int) -> Iterator[Fabric]:
    """`make_fabric`, from whose processes none leaves before the others: that would abort them in their last words.

    After an error that others may not have met nobody waits; the launcher ends them.
    """
    fabric = make_fabric(world, gpus)
    try:
        yield fabric
    except Interrupted:  # on which all processes have agreed
        _part(world, fabric)
        raise
    _part(world, fabric)


def _part(world: World, fabric: Fabric) -> None:
    if world.size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()


def reduced(fabric: Fabric, tensor: Tensor, how: Literal["sum", "mean"]) -> Tensor:
    """`tensor` summed or averaged over all processes."""
    result = fabric.all_reduce(tensor, reduce_op=how)
    assert isinstance(result, Tensor)
    return result
