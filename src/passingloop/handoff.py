"""What a launcher hands to a training process, through the environment of the process. Written and read here only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """A process's place among those of the run, as torch.distributed counts them, and where they meet."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    """Processes on this node; as many as on every other."""
    address: str = "127.0.0.1"
    """Of the node of rank 0."""
    port: int = 0

    @property
    def nodes(self) -> int:
        return self.size // self.local_size

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def to_environment(self) -> dict[str, str]:
        """In the variables of torch, which libraries read as well."""
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
        """What `to_environment` wrote; of a process that srun has started, the two ranks as Slurm says them."""
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
    """What a training process is told, besides its run directory."""

    attempt: int
    world: World
    """Of rank 0 where srun starts the processes: it hands the same environment to all of them."""
    by_srun: bool = False
    """Whether srun starts the processes, so that each takes its ranks from Slurm's variables."""
    at_a_terminal: bool = True
    """Whether rank 0 speaks to a person."""
    queued_seconds: float = 0.0
    """How long the attempt has waited in the queue."""
    grace_seconds: float | None = None
    """Between Slurm's asking a preempted job to stop and its killing it; None where that is not known, or where nothing
    preempts the job."""
    restarts: int = 0
    """How often Slurm had requeued the job when this attempt began."""

    @property
    def redirects_output(self) -> bool:
        """Whether the process itself has to redirect what it prints into its log file; else its launcher does."""
        return self.by_srun and (self.world.rank > 0 or not self.at_a_terminal)

    def to_environment(self) -> dict[str, str]:
        """As variables. All are written, so that none is inherited from the process of another attempt."""
        return self.world.to_environment() | {
            "PASSINGLOOP_ATTEMPT": str(self.attempt),
            "PASSINGLOOP_RANKS": "srun" if self.by_srun else "torch",
            "PASSINGLOOP_AT_A_TERMINAL": str(int(self.at_a_terminal)),
            "PASSINGLOOP_QUEUED_SECONDS": str(self.queued_seconds),
            "PASSINGLOOP_GRACE_SECONDS": "" if self.grace_seconds is None else f"{self.grace_seconds:g}",
            "PASSINGLOOP_RESTARTS": str(self.restarts),
        }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Handoff:
        """What `to_environment` wrote, with the ranks of this process."""
        by_srun = environ["PASSINGLOOP_RANKS"] == "srun"
        grace = environ["PASSINGLOOP_GRACE_SECONDS"]
        return cls(
            attempt=int(environ["PASSINGLOOP_ATTEMPT"]),
            world=World.from_environment(environ, by_srun=by_srun),
            by_srun=by_srun,
            at_a_terminal=environ["PASSINGLOOP_AT_A_TERMINAL"] == "1",
            queued_seconds=float(environ["PASSINGLOOP_QUEUED_SECONDS"]),
            grace_seconds=float(grace) if grace else None,
            restarts=int(environ["PASSINGLOOP_RESTARTS"]),
        )
