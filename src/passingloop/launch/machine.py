"""This machine as the place of an attempt: its processes are started here, one per GPU."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.handoff import Handoff, World
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import free_port, shared_environment
from passingloop.launch.processes import Process
from passingloop.plan import gpus_used, nodes_used, processes
from passingloop.rundir.directory import RunDir
from passingloop.sampling.nvml import gpu_names

NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")
"""The driver lists a folder per GPU here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The `passingloop.launch.place.Place` of a run with one process per GPU, or as many as `resources.tasks` says."""

    config: RunConfig
    allocation: Allocation | None
    """The Slurm allocation that we sit in, if any: its CPUs are shared among the processes."""
    gpus: tuple[str, ...]
    """Those that the run uses, as CUDA_VISIBLE_DEVICES spells them."""
    size: int
    launcher: ClassVar[Literal["shell"]] = "shell"
    submission: ClassVar[None] = None

    @classmethod
    def for_run(cls, config: RunConfig, allocation: Allocation | None = None) -> Machine:
        """This machine, or the node of `allocation` that we are on.

        Raises:
            ConfigError, MissingError: this machine has not what `config` asks for.
        """
        nodes = nodes_used(config, 1)
        if nodes > 1:
            raise MissingError(
                f"You set resources.nodes={config.resources.nodes}, but there is one machine here. Take an allocation "
                f"of {nodes} nodes with salloc --nodes={nodes} and run the same in it, or submit it with "
                "launcher=slurm."
            )
        visible = visible_gpus()
        wanted = gpus_used(config, len(visible))
        if wanted > len(visible):
            raise MissingError(
                f"You set resources.gpus={config.resources.gpus}, but {len(visible)} are visible here. Set "
                f"resources.gpus={len(visible)}, or take an allocation with more."
            )
        size = processes(config, len(visible))
        return cls(config=config, allocation=allocation, gpus=tuple(visible[:wanted]), size=size)

    @property
    def job_id(self) -> str | None:
        return self.allocation.name if self.allocation else None

    @property
    def nodes(self) -> Sequence[str]:
        return self.allocation.nodes[:1] if self.allocation else [socket.gethostname()]

    @property
    def gpus_per_node(self) -> int:
        return len(self.gpus)

    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        """One per rank; rank 0 writes to the terminal, each other into its log."""
        port = free_port()
        everyone = {
            **os.environ,
            **shared_environment(self.config, self._threads()),
            "CUDA_VISIBLE_DEVICES": ",".join(self.gpus),
        }
        handoffs = [
            Handoff(
                attempt=attempt,
                world=World(rank, self.size, rank, self.size, port=port),
                queued_seconds=queued_seconds,
                token=token,
                stuck_seconds=60 * self.config.watch.stuck_minutes,
                launcher_process=os.getpid(),
            )
            for rank in range(self.size)
        ]
        return [
            Process(
                command=[sys.executable, "-P", "-m", "passingloop.job", str(run.path)],
                environment=everyone | handoff.to_environment(),
                log=run.log(attempt, handoff.world.rank) if handoff.world.rank else None,
            )
            for handoff in handoffs
        ]

    def _threads(self) -> int:
        """Per process: what is asked for, else a fair share of the CPUs that are ours."""
        if self.config.resources.cpus != "auto":
            return self.config.resources.cpus
        cpus = len(os.sched_getaffinity(0))  # where Slurm does not bind, that is the whole node
        return max(1, min(cpus, self.allocation.cpus_here if self.allocation else cpus) // self.size)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, found without loading CUDA: those of the allocation, else all of the machine.

    Their names are as CUDA_VISIBLE_DEVICES spells them.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return gpu_names(allowed)
    return [str(index) for index, _ in enumerate(NVIDIA_DRIVER.glob("*"))]
