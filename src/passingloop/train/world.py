"""The Fabric that connects the processes of a run."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.distributed import ReduceOp
from torch.distributed.constants import default_pg_timeout

from passingloop.config.settings import RunConfig
from passingloop.errors import Interrupted, MissingError
from passingloop.handoff import World
from passingloop.plan import gpus_used

log = logging.getLogger("passingloop")


class LaunchedEnvironment(ClusterEnvironment):
    """Tells Lightning that our launcher has started all processes, so that it starts and guesses nothing itself."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    creates_processes_externally = True
    main_address = property(lambda self: self._world.address)
    main_port = property(lambda self: self._world.port)

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


def usable_gpus(config: RunConfig) -> int:
    """The GPUs of this node that the run computes on; 0 for the CPUs. Warns if it has GPUs that torch cannot use.

    Raises:
        MissingError: `resources.gpus` asks for GPUs, and torch sees none.
    """
    if config.cluster.simulated_gpus:
        return 0
    there = torch.cuda.device_count()
    wanted, given = gpus_used(config, there), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    advice = "`passingloop doctor --node` looks for the reason; cluster.simulated_gpus=true trains on the CPUs."
    if wanted and not there:
        raise MissingError(f"You set resources.gpus={config.resources.gpus}, but torch sees no GPU here. {advice}")
    if not there and given not in ("", "-1", "NoDevFiles") and config.resources.gpus != 0:
        log.warning("CUDA_VISIBLE_DEVICES=%s, but torch sees no GPU, so the CPUs are used. %s", given, advice)
    return wanted


LATER_THAN_HUNG = 600.0
"""Seconds by which a process waits longer in a collective than until its attempt counts as hung: the supervisor knows
more of the reason than a library whose time has run out."""


def make_fabric(world: World, gpus: int, stuck_seconds: float = 0.0) -> Fabric:
    """Fabric for one process, or for DDP over all of them: NCCL with `gpus` per node, else gloo.

    Args:
        stuck_seconds: see `passingloop.handoff.Handoff`.
    """
    patience = datetime.timedelta(seconds=stuck_seconds + LATER_THAN_HUNG) if stuck_seconds else default_pg_timeout
    fabric = Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=gpus or world.local_size,
        num_nodes=world.nodes,
        # Gradients lie in the memory from which they are sent: no copies, and no memory for them.
        strategy=DDPStrategy(timeout=patience, gradient_as_bucket_view=True) if world.size > 1 else "auto",
        plugins=[LaunchedEnvironment(world)],  # for one process too, or Lightning would look for Slurm
    )
    fabric.launch()
    return fabric


@contextmanager
def process_group(world: World, gpus: int, stuck_seconds: float = 0.0) -> Iterator[Fabric]:
    """`make_fabric` as a context whose processes end together: one that ended earlier would abort the others.

    After an error they do not wait for each other, because others may not have it; the launcher ends them.
    """
    fabric = make_fabric(world, gpus, stuck_seconds)
    try:
        yield fabric
    except Interrupted:  # on which all processes have agreed
        _leave_group(world, fabric)
        raise
    _leave_group(world, fabric)


def _leave_group(world: World, fabric: Fabric) -> None:
    if world.size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()


How = Literal["sum", "mean", "min", "max"]

OPERATIONS = {"sum": ReduceOp.SUM, "mean": ReduceOp.SUM, "min": ReduceOp.MIN, "max": ReduceOp.MAX}


def all_reduce(fabric: Fabric, tensor: Tensor, how: How) -> Tensor:
    """`tensor` reduced over all processes, in place. The host does not wait for the device.

    It would in Fabric's own method, which has a barrier first (lightning 2.6, `_sync_ddp`).
    """
    if fabric.world_size > 1:
        torch.distributed.all_reduce(tensor, OPERATIONS[how])
        if how == "mean":
            tensor /= fabric.world_size
    return tensor


def least(fabric: Fabric, value: int) -> int:
    """The least `value` that any process has. All processes call it."""
    return int(all_reduce(fabric, torch.tensor(value, device=fabric.device), "min"))
