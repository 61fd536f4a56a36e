"""A job step as the place of an attempt: its processes are started by srun, on the nodes of an allocation."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError, PassingloopError, SlurmMissing
from passingloop.handoff import Handoff, World
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import free_port, shared_environment
from passingloop.launch.processes import PATIENCE, Process
from passingloop.plan import gpus_used, processes
from passingloop.rundir import ledger
from passingloop.rundir.code import with_code
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Start
from passingloop.slurm import nodes as slurm_nodes
from passingloop.slurm.command import ask
from passingloop.slurm.environment import foreign, restarts

ROOM = 600.0
"""Seconds that an attempt waits for a slurmctld that does not answer, or has only just been started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The `passingloop.launch.place.Place` of a run in an allocation, interactively or in a submission's batch job.

    Raises:
        ConfigError, MissingError: the allocation has not what `config` asks for.
    """

    config: RunConfig
    allocation: Allocation
    submission: str | None = None
    code: Path | None = None
    """The folder of frozen code that the processes import; None where it is the package that we have imported."""
    grace_seconds: float | None = None
    """As `passingloop.handoff.Handoff` has it."""

    def __post_init__(self) -> None:
        nodes, gpus = self.allocation.nodes_used(self.config), gpus_used(self.config, self.allocation.gpus)
        for key, wanted, there in (
            ("nodes", nodes, len(self.allocation.nodes)),
            ("gpus", gpus, self.allocation.gpus),
        ):
            if wanted > there:
                raise MissingError(
                    f"You set resources.{key}={wanted}, but {self.allocation} has {there}. Set resources.{key}={there} "
                    "or leave it out, or take an allocation with more."
                )
        processes(self.config, self.allocation.gpus)

    @property
    def launcher(self) -> Literal["shell", "slurm"]:
        return "slurm" if self.submission else "shell"

    @property
    def job_id(self) -> str:
        return self.allocation.name

    @property
    def nodes(self) -> Sequence[str]:
        return self.allocation.nodes[: self.allocation.nodes_used(self.config)]

    @property
    def tasks(self) -> int:
        """Processes per node."""
        return processes(self.config, self.allocation.gpus)

    @property
    def size(self) -> int:
        return len(self.nodes) * self.tasks

    def processes(self, run: RunDir, attempt: int, queued_seconds: float) -> Sequence[Process]:
        """A single one, srun, which starts the training processes on all nodes."""
        options = self._options()
        if self.submission and any(start.job_id == self.job_id for start in ledger.read(run).of(Start)):
            _wait_for_room(options)
        command = ["srun", *options, sys.executable, "-P", "-m", "passingloop.job", str(run.path)]
        # SIGTERM makes srun kill; SIGINT it hands on. In a batch job Slurm signals the processes itself.
        stop = None if self.submission else signal.SIGINT
        environment = self._environment(attempt, queued_seconds)
        return [Process(command=command, environment=environment, own_session=True, stop=stop)]

    @property
    def _cpus(self) -> int:
        """Per process."""
        cpus = self.config.resources.cpus
        return max(1, self.allocation.cpus_here // self.tasks if cpus == "auto" else cpus)

    def _environment(self, attempt: int, queued_seconds: float) -> dict[str, str]:
        several = len(self.nodes) > 1
        address = slurm_nodes.address(self.nodes[0]) if several else "127.0.0.1"
        handoff = Handoff(
            attempt=attempt,
            world=World(0, self.size, 0, self.tasks, address, free_port()),
            by_srun=True,
            at_a_terminal=self.submission is None,
            queued_seconds=queued_seconds,
            grace_seconds=self.grace_seconds,
            restarts=restarts(os.environ),
        )
        environment = _own(os.environ) | shared_environment(self.config, self._cpus) | handoff.to_environment()
        return with_code(environment, self.code) if self.code else environment

    def _options(self) -> list[str]:
        """Of srun."""
        gpus = gpus_used(self.config, self.allocation.gpus)
        return [
            f"--jobid={self.allocation.job_id}",
            f"--nodes={len(self.nodes)}",
            f"--nodelist={','.join(self.nodes)}",
            f"--ntasks={self.size}",
            f"--ntasks-per-node={self.tasks}",
            f"--cpus-per-task={self._cpus}",  # not passed on from sbatch in 22.05 to 23.02
            *([f"--gres=gpu:{gpus}"] if gpus else []),
            "--distribution=block",
            "--overlap",  # the shell we may sit in is a step as well
            "--export=ALL",
            "--mpi=none",
            "--input=none",
            "--unbuffered",
            "--disable-status",  # makes srun hand SIGINT on
            "--kill-on-bad-exit=0",  # one process may end before the others with 130, which is no failure
            f"--wait={PATIENCE:.0f}",
        ]


def _wait_for_room(options: Sequence[str]) -> None:
    """Wait until srun can start a step as it is to be, where one has ended in this job just before.

    When slurmctld has been started again srun fails for some seconds, "Memory required by task is not available" for
    one; while there is none it starts nothing. Neither says anything about the run.
    """
    deadline = time.monotonic() + ROOM
    while time.monotonic() < deadline:
        try:
            ask("srun", *options, "true", timeout=ROOM)
            return
        except SlurmMissing:
            return
        except PassingloopError:
            time.sleep(1.0)


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables of the step or job we sit in, which srun would take for its options, but for its name."""
    gone = set(foreign(environ)) - {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}
    return {name: value for name, value in environ.items() if name not in gone}
