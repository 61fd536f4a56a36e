"""Where the processes of an attempt run: what a place has and starts, and what is the same in every place."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Literal, Protocol

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.launch.processes import Process
from passingloop.rundir.directory import RunDir

SPIN = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. With libgomp's default, two trainings that share two
cores took 4.5 times as long as one alone; with this 2 times, and one alone 1.02 times (MiniLM, medians of 30 steps)."""


HUGE_PAGES = "glibc.malloc.hugetlb"
"""The setting of the C library that asks the kernel for pages of 2 MiB, where it gives them to those who ask. On a CPU
a step of MiniLM is 7 % shorter with them (docs/explanation/speed.md). glibc before 2.35 has no such setting and ignores
it."""


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
    def gpus_per_node(self) -> int:
        """GPUs of each node that the run uses."""

    @property
    def size(self) -> int:
        """The world size: how many processes train."""

    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        """What is to be started here for attempt `attempt`, which has waited in the queue for `queued_seconds`."""


def shared_environment(config: RunConfig, threads: int) -> dict[str, str]:
    """What every process of an attempt gets besides its `Handoff`: its share of the CPUs, and a folder of its user."""
    # torch makes it when it is imported, and would put it into the machine's folder for temporary files, as it still
    # does where `cache_root` is read-only. It holds code, so it is each user's own.
    compiled = config.cache_root / f"torchinductor-{os.getuid()}"
    own = {"TORCHINDUCTOR_CACHE_DIR": str(compiled)} if os.access(config.cache_root, os.W_OK) else {}
    return {
        **({} if "TORCHINDUCTOR_CACHE_DIR" in os.environ else own),
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPIN),
        "GLIBC_TUNABLES": _tunables(os.environ.get("GLIBC_TUNABLES", "")),
    }


def _tunables(given: str) -> str:
    """Settings of the C library, "name=value:name=value": those `given`, and huge pages unless they say otherwise."""
    return given if HUGE_PAGES in given else ":".join(filter(None, [given, f"{HUGE_PAGES}=1"]))


def make_cache_root(config: RunConfig) -> None:
    """Create `cache_root`, unless it exists.

    Raises:
        ConfigError: it is no folder, or cannot be created.
    """
    before = os.umask(0o777 & ~int(config.run_mode, 8))
    try:
        config.cache_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(
            f"You set cache_root={config.cache_root}, but {error.filename} cannot be used: {reason}. Set cache_root, "
            "or PASSINGLOOP_CACHE, to a folder that you may write to."
        ) from error
    finally:
        os.umask(before)


def free_port() -> int:
    """A TCP port that nothing on this machine uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
