"""Packs: several runs of a sweep side by side in one job (`sweep.pack`). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.rundir.tasks import MEASURED_MEMBERS, PackTask, TrainTask
from passingloop.slurm.batch import Request
from passingloop.slurm.notation import megabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """How runs that ask for the same are distributed over jobs."""

    members: int
    """Runs in a job."""
    at_once: int | None
    """How many of them train at once; None: the job measures it."""
    parallel: int | None
    """How many jobs run at once, if that is limited."""
    request: Request
    """What such a job asks for."""

    def tasks(self, runs: Sequence[TrainTask]) -> list[TrainTask] | list[PackTask]:
        """What each job does."""
        if self.members == 1:
            return list(runs)
        packs = [runs[start : start + self.members] for start in range(0, len(runs), self.members)]
        return [PackTask(members=tuple(pack), at_once=self.at_once) for pack in packs]

    def jobs(self, runs: int) -> int:
        """How many jobs that many runs need."""
        return -(-runs // self.members)


def packing(config: RunConfig, asked: Request, count: int) -> Packing:
    """How `count` runs like `config` are packed, each of which would ask for `asked` alone.

    A job asks for the memory, and for the CPUs if `resources.cpus` is set, of all that train at once.

    Raises:
        ConfigError: a run does not train in one process.
    """
    wanted, parallel = config.sweep.pack, config.sweep.parallel
    if wanted == 1 or count == 1:
        return Packing(members=1, at_once=1, parallel=parallel, request=asked)
    if asked.nodes * asked.tasks > 1 or asked.gpus > 1:
        raise ConfigError(
            f"You set sweep.pack={wanted}, which trains several runs on one GPU, but each of them is to train in "
            f"{asked.nodes * max(asked.gpus, asked.tasks)} processes. Set resources.gpus=1 and resources.nodes=1, or "
            "leave sweep.pack out."
        )
    members = min(MEASURED_MEMBERS if wanted == "auto" else wanted, count)
    at_once = min(members, parallel or members)
    many = replace(
        asked,
        cpus=asked.cpus * at_once if asked.cpus and config.resources.cpus != "auto" else asked.cpus,
        mem=f"{megabytes(asked.mem) * at_once:.0f}M" if asked.mem else None,
    )
    return Packing(
        members=members,
        at_once=None if wanted == "auto" else at_once,
        parallel=max(1, parallel // at_once) if parallel else None,
        request=many,
    )
