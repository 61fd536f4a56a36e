"""Where the processes of an attempt run, and what they are told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from passingloop.config.settings import RunConfig
from passingloop.launch.processes import Process
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause

SPIN = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. With libgomp's default, two trainings that share two
cores took 4.5 times as long as one alone; with this 2 times, and one alone 1.02 times (MiniLM, medians of 30 steps)."""


QUEUED = "PASSINGLOOP_QUEUED_SECONDS"
"""Tells the processes how long the attempt has waited in the queue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an attempt's processes run."""

    launcher: str
    """`shell` or `slurm`."""
    job_id: str | None
    nodes: Sequence[str]
    size: int
    """How many processes train."""
    processes: Callable[[RunDir, int], Sequence[Process]]
    """What is started here for an attempt, whose number is given."""
    why_stopped: Callable[[RunDir], Cause]
    """Why the processes have ended without saying so."""
    submission: str | None = None


def shared_environment(config: RunConfig, attempt: int, address: str, threads: int) -> dict[str, str]:
    """What tells every process of an attempt where to meet the others, and its share of the CPUs."""
    # torch would put it into the machine's folder for temporary files. It holds code, so it is each user's own.
    compiled = config.cache_root / f"torchinductor-{os.getuid()}"
    return {
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(compiled)),
        "PASSINGLOOP_ATTEMPT": str(attempt),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPIN),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
