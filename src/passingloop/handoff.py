"""What a launcher passes to a training process through its environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class World:
    """The ranks and world sizes of a process, as in torch.distributed, and the address of the rendezvous."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    """Processes on this node; the same on all nodes."""
    address: str = "127.0.0.1"
    """The address of the node of rank 0."""
    port: int = 0

    @property
    def nodes(self) -> int:
        return self.size // self.local_size

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes what only one process writes."""
        return self.rank == 0

    def to_environment(self) -> dict[str, str]:
        """As the environment variables of torch.distributed, which other libraries read as well."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_size),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, by_srun: bool = False) -> World:
        """Read what `to_environment` wrote; in a process that srun started, the two ranks from Slurm's variables."""
        rank, local_rank = ("SLURM_PROCID", "SLURM_LOCALID") if by_srun else ("RANK", "LOCAL_RANK")
        return cls(
            rank=int(environ[rank]),
            size=int(environ["WORLD_SIZE"]),
            local_rank=int(environ[local_rank]),
            local_size=int(environ["LOCAL_WORLD_SIZE"]),
            address=environ["MASTER_ADDR"],
            port=int(environ["MASTER_PORT"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Handoff:
    """What a training process gets from its launcher, besides the run directory."""

    attempt: int
    world: World
    """For processes that srun starts it is that of rank 0, since all of them get the same environment."""
    by_srun: bool = False
    """Whether srun starts the processes; each then reads its ranks from Slurm's variables."""
    at_a_terminal: bool = True
    """Whether the output of rank 0 goes to a terminal."""
    queued_seconds: float = 0.0
    """How long the attempt was queued."""
    grace_seconds: float | None = None
    """From the first signal of a preemption to SIGKILL; None if unknown, or if the job cannot be preempted."""
    restarts: int = 0
    """How many times Slurm had requeued the job when this attempt began."""
    token: str = ""
    """See `passingloop.rundir.ledger.Start`."""
    gpu_share: float = 1.0
    """The share of a GPU's memory that is this run's, where several runs train on it."""
    stuck_seconds: float = 0.0
    """Without any progress, after which the attempt counts as hung; 0 if it never does."""
    launcher_process: int | None = None
    """The process id of the launcher, if it is the parent of the training process, which ends if the launcher dies."""

    @property
    def redirects_output(self) -> bool:
        """Whether the process itself redirects its output to its log file; otherwise its launcher does."""
        return self.by_srun and (self.world.rank > 0 or not self.at_a_terminal)

    def to_environment(self) -> dict[str, str]:
        """As environment variables. All are set, so that none is inherited from the process of another attempt."""
        return self.world.to_environment() | {
            "PASSINGLOOP_ATTEMPT": str(self.attempt),
            "PASSINGLOOP_RANKS": "srun" if self.by_srun else "torch",
            "PASSINGLOOP_AT_A_TERMINAL": str(int(self.at_a_terminal)),
            "PASSINGLOOP_QUEUED_SECONDS": str(self.queued_seconds),
            "PASSINGLOOP_GRACE_SECONDS": "" if self.grace_seconds is None else f"{self.grace_seconds:g}",
            "PASSINGLOOP_RESTARTS": str(self.restarts),
            "PASSINGLOOP_TOKEN": self.token,
            "PASSINGLOOP_GPU_SHARE": str(self.gpu_share),
            "PASSINGLOOP_STUCK_SECONDS": str(self.stuck_seconds),
            "PASSINGLOOP_LAUNCHER_PROCESS": "" if self.launcher_process is None else str(self.launcher_process),
        }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Handoff:
        """Read what `to_environment` wrote, with the ranks of this process."""
        by_srun = environ["PASSINGLOOP_RANKS"] == "srun"
        grace, launcher = environ["PASSINGLOOP_GRACE_SECONDS"], environ["PASSINGLOOP_LAUNCHER_PROCESS"]
        return cls(
            attempt=int(environ["PASSINGLOOP_ATTEMPT"]),
            world=World.from_environment(environ, by_srun=by_srun),
            by_srun=by_srun,
            at_a_terminal=environ["PASSINGLOOP_AT_A_TERMINAL"] == "1",
            queued_seconds=float(environ["PASSINGLOOP_QUEUED_SECONDS"]),
            grace_seconds=float(grace) if grace else None,
            restarts=int(environ["PASSINGLOOP_RESTARTS"]),
            token=environ["PASSINGLOOP_TOKEN"],
            gpu_share=float(environ["PASSINGLOOP_GPU_SHARE"]),
            stuck_seconds=float(environ["PASSINGLOOP_STUCK_SECONDS"]),
            launcher_process=int(launcher) if launcher else None,
        )


def clean_environment() -> None:
    """Take out of this process's environment, which its child processes get, what makes Python behave unexpectedly.

    An empty part of PYTHONPATH puts the working folder on the module search path, also on ours: a `tokenizers.py`
    beside somebody's data would be imported instead of the library. PYTHONOPTIMIZE=2 removes the docstrings that
    transformers reads when a model is loaded.
    """
    os.environ.pop("PYTHONOPTIMIZE", None)
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if len(parts) > 1 and "" in parts:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, parts))
        sys.path[:] = [folder for folder in sys.path if folder not in ("", str(Path.cwd()))]


def restart_with_docstrings(argv: Sequence[str]) -> None:
    """Start the command ``passingloop`` with the arguments `argv` anew, in this process, if Python runs as ``-OO``.

    Without docstrings transformers cannot load a model. `clean_environment` must have been called: the new interpreter
    would else remove them, too.
    """
    if sys.flags.optimize > 1:
        command = "import sys; from passingloop.cli.main import main; sys.exit(main())"
        os.execv(sys.executable, [sys.executable, "-P", "-c", command, *argv])  # noqa: S606
