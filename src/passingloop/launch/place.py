"""Where the processes of an attempt run: what a place has and starts, and what is the same in every place."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Literal, Protocol

from passingloop.config.settings import RunConfig
from passingloop.launch.processes import Process
from passingloop.rundir.directory import RunDir

SPIN = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. With libgomp's default, two trainings that share two
cores took 4.5 times as long as one alone; with this 2 times, and one alone 1.02 times (MiniLM, medians of 30 steps)."""


class Place(Protocol):
    """Where an attempt's processes run: `passingloop.launch.machine.Machine` or `passingloop.launch.step.Step`."""

    @property
    def launcher(self) -> Literal["shell", "slurm"]: ...

    @property
    def submission(self) -> str | None:
        """The submission that brought the run into the queue; None in a shell."""

    @property
    def job_id(self) -> str | None:
        """The Slurm job that we are in, if any."""

    @property
    def nodes(self) -> Sequence[str]: ...

    @property
    def size(self) -> int:
        """The world size: how many processes train."""

    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        """What is to be started here for attempt `attempt`, which has waited in the queue for `queued_seconds`."""


def shared_environment(config: RunConfig, threads: int) -> dict[str, str]:
    """What every process of an attempt gets besides its `Handoff`: its share of the CPUs, and a folder of its user."""
    # torch would put it into the machine's folder for temporary files. It holds code, so it is each user's own.
    compiled = config.cache_root / f"torchinductor-{os.getuid()}"
    return {
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(compiled)),
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPIN),
    }


def free_port() -> int:
    """A TCP port that nothing on this machine uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
