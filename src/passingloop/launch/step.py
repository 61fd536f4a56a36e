"""The place of an attempt whose processes are started by srun, on the nodes of an allocation."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import Place, shared_environment
from passingloop.launch.processes import PATIENCE, Process
from passingloop.plan import gpus_used, processes
from passingloop.preempt.cause import RESTARTS, why_stopped
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Start
from passingloop.slurm import control
from passingloop.slurm.command import foreign
from passingloop.slurm.steps import Step, srun, wait_for_room

AT_A_TERMINAL = "PASSINGLOOP_AT_A_TERMINAL"
"""Tells the processes that rank 0 speaks to a person; otherwise all of them write into their logs."""


def step(allocation: Allocation, config: RunConfig, submission: str | None = None) -> Place:
    """A job step over the nodes of `allocation`: interactively, or in the batch job of `submission`.

    Raises:
        ConfigError, MissingError: the allocation has not what `config` asks for.
    """
    nodes, gpus = allocation.nodes_used(config), gpus_used(config, allocation.gpus)
    _check(config, allocation, nodes, gpus)
    tasks = processes(config, allocation.gpus)
    cpus = allocation.cpus_here // tasks if config.resources.cpus == "auto" else config.resources.cpus

    slurm_step = Step(
        job_id=allocation.job_id,
        nodes=allocation.nodes[:nodes],
        tasks=tasks,
        cpus=max(1, cpus),
        gpus=gpus,
        wait=PATIENCE,
    )

    def step_processes(run: RunDir, attempt: int) -> Sequence[Process]:
        address = control.node_address(allocation.nodes[0]) if nodes > 1 else "127.0.0.1"
        environment = _own(os.environ) | shared_environment(config, attempt, address, max(1, cpus))
        environment |= {"PASSINGLOOP_RANKS": "srun", RESTARTS: os.environ.get("SLURM_RESTART_COUNT", "0")}
        if submission is None:
            environment[AT_A_TERMINAL] = "1"
        if submission and _has_begun_before(run, allocation.name):
            wait_for_room(slurm_step)
        command = [*srun(slurm_step), sys.executable, "-P", "-m", "passingloop.job", str(run.path)]
        # SIGTERM makes srun kill; SIGINT it hands on. In a batch job Slurm signals the processes itself.
        stop = None if submission else signal.SIGINT
        return [Process(command=command, environment=environment, own_session=True, stop=stop)]

    return Place(
        launcher="slurm" if submission else "shell",
        job_id=allocation.name,
        nodes=allocation.nodes[:nodes],
        size=nodes * tasks,
        processes=step_processes,
        why_stopped=why_stopped,
        submission=submission,
    )


def _has_begun_before(run: RunDir, job_id: str) -> bool:
    return any(start.job_id == job_id for start in ledger.read(run).of(Start))


def _check(config: RunConfig, allocation: Allocation, nodes: int, gpus: int) -> None:
    for key, wanted, there in (("nodes", nodes, len(allocation.nodes)), ("gpus", gpus, allocation.gpus)):
        if wanted > there:
            raise MissingError(
                f"You set resources.{key}={wanted}, but {allocation} has {there}. Set resources.{key}={there} or "
                "leave it out, or take an allocation with more."
            )


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables of the step or job we sit in, which srun would take for its options, but for its name."""
    gone = set(foreign(environ)) - {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}
    return {name: value for name, value in environ.items() if name not in gone}
