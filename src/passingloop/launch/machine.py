"""The place of an attempt whose processes are started by us, on this machine."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.launch.allocation import Allocation
from passingloop.launch.gpus import visible_gpus
from passingloop.launch.place import Place, shared_environment
from passingloop.launch.processes import Process
from passingloop.plan import gpus_used, processes
from passingloop.preempt.cause import why_stopped
from passingloop.rundir.layout import RunDir


def here(config: RunConfig, allocation: Allocation | None = None) -> Place:
    """One process per GPU, or as many as `resources.tasks` says; with the CPUs of `allocation`, if we sit in one.

    Raises:
        ConfigError, MissingError: this machine has not what `config` asks for.
    """
    nodes = config.resources.nodes
    if nodes not in ("auto", 1):
        raise MissingError(
            f"You set resources.nodes={nodes}, but there is one machine here. Take an allocation of {nodes} nodes with "
            f"salloc --nodes={nodes} and run the same in it, or submit it with launcher=slurm."
        )
    visible = visible_gpus()
    wanted = gpus_used(config, len(visible))
    if wanted > len(visible):
        raise MissingError(
            f"You set resources.gpus={wanted}, but {len(visible)} are visible here. Set resources.gpus={len(visible)}, "
            "or take an allocation with more."
        )
    size = processes(config, len(visible))
    threads = _threads(config, allocation, size)

    def ranks(run: RunDir, attempt: int) -> Sequence[Process]:
        everyone = {
            **os.environ,
            **shared_environment(config, attempt, "127.0.0.1", threads),
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "CUDA_VISIBLE_DEVICES": ",".join(visible[:wanted]),
        }
        return [
            Process(
                command=[sys.executable, "-m", "passingloop.job", str(run.path)],
                environment={**everyone, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                log=run.log(attempt, rank) if rank else None,  # rank 0 speaks to the terminal
            )
            for rank in range(size)
        ]

    return Place(
        launcher="shell",
        job_id=allocation.name if allocation else None,
        nodes=allocation.nodes[:1] if allocation else [socket.gethostname()],
        size=size,
        processes=ranks,
        why_stopped=why_stopped,
    )


def _threads(config: RunConfig, allocation: Allocation | None, size: int) -> int:
    """Per process: what is asked for, else a fair share of the CPUs that are ours."""
    if config.resources.cpus != "auto":
        return config.resources.cpus
    cpus = len(os.sched_getaffinity(0))  # where Slurm does not bind, that is the whole node
    return max(1, min(cpus, allocation.cpus_here if allocation else cpus) // size)
