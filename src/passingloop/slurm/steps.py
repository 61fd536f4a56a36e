"""Job steps: srun's command line, and waiting until Slurm can start another step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from passingloop.errors import PassingloopError, SlurmMissing
from passingloop.slurm.command import run_command

START_TIMEOUT = 600.0
"""Seconds to wait for a slurmctld that does not answer or has just been restarted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A job step: the same number of processes on each of some nodes of a job."""

    job_id: str
    nodes: Sequence[str]
    tasks: int
    """Processes per node."""
    cpus: int
    """Per process."""
    gpus: int
    """Per node."""
    wait: float
    """Seconds from the end of the first process until srun kills the others."""


def srun_command(step: Step) -> list[str]:
    """The srun command that starts `step`, without the program that the step runs."""
    return [
        "srun",
        f"--jobid={step.job_id}",
        f"--nodes={len(step.nodes)}",
        f"--nodelist={','.join(step.nodes)}",
        f"--ntasks={len(step.nodes) * step.tasks}",
        f"--ntasks-per-node={step.tasks}",
        f"--cpus-per-task={step.cpus}",  # not passed on from sbatch in 22.05 to 23.02
        *([f"--gres=gpu:{step.gpus}"] if step.gpus else []),
        "--distribution=block",
        "--overlap",  # an interactive shell is a step of the job as well
        "--export=ALL",
        "--mpi=none",
        "--input=none",
        "--unbuffered",
        "--disable-status",  # makes srun pass SIGINT on
        "--kill-on-bad-exit=0",  # one process may end before the others with 130, which is no failure
        f"--wait={step.wait:.0f}",
    ]


def wait_for_step_start(step: Step) -> None:
    """Wait until srun can start `step`, at most `START_TIMEOUT`. Called after another step of the job has ended.

    After a restart of slurmctld srun fails for some seconds, for example with "Memory required by task is not
    available", and while slurmctld is down it starts nothing. Neither is a failure of the run.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            run_command(*srun_command(step), "true", timeout=START_TIMEOUT)
            return
        except SlurmMissing:
            return
        except PassingloopError:
            time.sleep(1.0)
