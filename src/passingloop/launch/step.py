"""A job step as the place of an attempt: its processes are started by srun, on the nodes of an allocation."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.handoff import Handoff, World
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import free_port, shared_environment
from passingloop.launch.processes import PATIENCE, Process
from passingloop.plan import gpus_used, processes
from passingloop.rundir import ledger
from passingloop.rundir.code import code_environment
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start, Wait
from passingloop.slurm import control, steps
from passingloop.slurm.command import inherited_variables, restart_count
from passingloop.text import is_animated, say

STOP_AGAIN = 1.0
"""Seconds between requests to stop."""

NO_TERMINAL = (
    'No process of the run has begun. If srun says "Slurmd could not connect IO", a node has no pseudo-terminals '
    "(/dev/pts), of which the progress bar needs one. Set TERM=dumb for a run without the bar."
)


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
    share: int = 1
    """Among how many runs the GPU and the CPUs are shared."""

    def __post_init__(self) -> None:
        nodes, gpus = self.allocation.nodes_used(self.config), self.gpus_per_node
        resources = self.config.resources
        for key, typed, wanted, there in (
            ("nodes", resources.nodes, nodes, len(self.allocation.nodes)),
            ("gpus", resources.gpus, gpus, self.allocation.gpus),
        ):
            if wanted > there:
                raise MissingError(
                    f"You set resources.{key}={typed}, but {self.allocation} has {there}. Set resources.{key}={there} "
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
    def gpus_per_node(self) -> int:
        return gpus_used(self.config, self.allocation.gpus)

    @property
    def tasks(self) -> int:
        """Processes per node."""
        return processes(self.config, self.allocation.gpus)

    @property
    def size(self) -> int:
        return len(self.nodes) * self.tasks

    def processes(self, run: RunDir, attempt: int, queued_seconds: float, token: str) -> Sequence[Process]:
        """A single one, srun, which starts the training processes on all nodes."""
        job_step = self._job_step(run)
        earlier = [start for start in ledger.read(run).events_of(Start) if start.attempt < attempt]
        if self.submission and any(start.job_id == self.job_id for start in earlier):
            _wait_for_step_start(job_step, run, attempt)
        command = [*steps.srun_command(job_step), sys.executable, "-P", "-m", "passingloop.job", str(run.path)]
        # SIGTERM makes srun kill, as a second SIGINT within a second does. SIGUSR2 it passes on, and a process heeds
        # the first only. In a batch job Slurm signals the processes itself.
        stop = None if self.submission else signal.SIGUSR2
        environment = self._environment(attempt, queued_seconds, token)
        return [
            Process(
                command=command,
                environment=environment,
                own_session=True,
                stop=stop,
                kill=signal.SIGTERM,
                unblocks_signals=False,
                stop_again=STOP_AGAIN,
                hint=NO_TERMINAL if job_step.at_a_terminal else None,
            )
        ]

    @property
    def _cpus(self) -> int:
        """Per process."""
        cpus = self.config.resources.cpus
        return max(1, self.allocation.cpus_here // self.tasks // self.share if cpus == "auto" else cpus)

    def _job_step(self, run: RunDir) -> steps.Step:
        return steps.Step(
            job_id=self.allocation.job_id,
            nodes=self.nodes,
            tasks=self.tasks,
            cpus=self._cpus,
            gpus=self.gpus_per_node,
            shards=self.allocation.shards,
            name=run.path.name,
            wait=PATIENCE,
            at_a_terminal=self.submission is None and is_animated(),
        )

    def _environment(self, attempt: int, queued_seconds: float, token: str) -> dict[str, str]:
        several = len(self.nodes) > 1
        address = control.node_address(self.nodes[0]) if several else "127.0.0.1"
        handoff = Handoff(
            attempt=attempt,
            world=World(0, self.size, 0, self.tasks, address, free_port()),
            by_srun=True,
            at_a_terminal=self.submission is None,
            queued_seconds=queued_seconds,
            grace_seconds=self.grace_seconds,
            restarts=restart_count(os.environ),
            token=token,
            gpu_share=1 / self.share,
            stuck_seconds=60 * self.config.watch.stuck_minutes,
        )
        environment = (
            _without_job_variables(os.environ) | shared_environment(self.config, self._cpus) | handoff.to_environment()
        )
        return code_environment(environment, self.code) if self.code else environment


def _wait_for_step_start(step: steps.Step, run: RunDir, attempt: int) -> None:
    """Wait until the step can start. What is waited for is said, and stands in the attempt's log and in the ledger."""
    waits = False

    def notice(sentence: str) -> None:
        nonlocal waits
        waits = True
        say(sentence)
        with run.log(attempt, 0).open("a", encoding="utf-8") as file:
            file.write(f"{sentence}\n")
        ledger.append(run, Wait(attempt=attempt, reason=sentence))

    steps.wait_for_step_start(step, notice)
    if waits:
        ledger.append(run, Wait(attempt=attempt, reason=None))


def _without_job_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables of the step or job we sit in, which srun would take for its options, but for its name."""
    gone = set(inherited_variables(environ)) - {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}
    return {name: value for name, value in environ.items() if name not in gone}
