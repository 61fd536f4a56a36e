"""The place of an attempt whose processes are started by srun, on the nodes of an allocation."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from passingloop.config.settings import RunConfig
from passingloop.errors import MissingError, PassingloopError, SlurmMissing
from passingloop.launch.allocation import Allocation
from passingloop.launch.place import Place, shared_environment
from passingloop.launch.processes import PATIENCE, Process
from passingloop.plan import gpus_used, processes
from passingloop.preempt.cause import RESTARTS, why_stopped
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Start
from passingloop.slurm import nodes as slurm_nodes
from passingloop.slurm.command import ask
from passingloop.slurm.environment import foreign

ROOM = 600.0
"""Seconds that an attempt waits for a slurmctld that does not answer, or has only just been started."""

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

    def srun(run: RunDir, attempt: int) -> Sequence[Process]:
        address = slurm_nodes.address(allocation.nodes[0]) if nodes > 1 else "127.0.0.1"
        environment = _own(os.environ) | shared_environment(config, attempt, address, max(1, cpus))
        environment |= {"PASSINGLOOP_RANKS": "srun", RESTARTS: os.environ.get("SLURM_RESTART_COUNT", "0")}
        if submission is None:
            environment[AT_A_TERMINAL] = "1"
        options = [
            f"--jobid={allocation.job_id}",
            f"--nodes={nodes}",
            f"--nodelist={','.join(allocation.nodes[:nodes])}",
            f"--ntasks={nodes * tasks}",
            f"--ntasks-per-node={tasks}",
            f"--cpus-per-task={max(1, cpus)}",  # not passed on from sbatch in 22.05 to 23.02
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
        if submission and _has_begun_before(run, allocation.name):
            _wait_for_room(options)
        command = ["srun", *options, sys.executable, "-P", "-m", "passingloop.job", str(run.path)]
        # SIGTERM makes srun kill; SIGINT it hands on. In a batch job Slurm signals the processes itself.
        stop = None if submission else signal.SIGINT
        return [Process(command=command, environment=environment, own_session=True, stop=stop)]

    return Place(
        launcher="slurm" if submission else "shell",
        job_id=allocation.name,
        nodes=allocation.nodes[:nodes],
        size=nodes * tasks,
        processes=srun,
        why_stopped=why_stopped,
        submission=submission,
    )


def _has_begun_before(run: RunDir, job_id: str) -> bool:
    return any(start.job_id == job_id for start in ledger.read(run).of(Start))


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
