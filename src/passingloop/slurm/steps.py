"""Job steps: srun's command line, and waiting until Slurm can start another step."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from passingloop.errors import PassingloopError, SlurmMissing, SlurmRefused, SlurmSilent, TimeLimitReached
from passingloop.slurm.command import run_command
from passingloop.slurm.control import job_fields
from passingloop.slurm.notation import seconds, timestamp, warning_seconds

START_TIMEOUT = 600.0
"""Seconds to wait for a slurmctld that does not answer or has just been restarted."""

MIN_SECONDS = 15.0
"""Seconds before the time limit at which nothing more is started, or at the warning if that comes earlier: the batch
process decides what follows."""

PASSING_MESSAGE = re.compile(
    "Memory required by task|Job/step already completing|nodes are busy|temporarily disabled|Step creation|"
    "Required node not available|Invalid job credential|Job credential"
)
"""What srun says while slurmctld, slurmd or an earlier step is on its way to another state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A job step: the same number of processes on each of some nodes of a job."""

    job_id: str
    name: str
    nodes: Sequence[str]
    tasks: int
    """Processes per node."""
    cpus: int
    """Per process."""
    gpus: int
    """Per node."""
    wait: float
    """Seconds from the end of the first process until srun kills the others."""
    shards: int = 0
    """Parts of a GPU (gres/shard), where the job has no whole one."""
    at_a_terminal: bool = False
    """Whether the output goes to a terminal on which lines are redrawn. Then it comes at once, for which Slurm needs a
    pty on the node; otherwise line by line."""


def srun_command(step: Step) -> list[str]:
    """The srun command that starts `step`, without the program that the step runs."""
    return [
        "srun",
        f"--jobid={step.job_id}",
        f"--job-name={step.name}",  # which is the name of the step
        f"--nodes={len(step.nodes)}",
        f"--nodelist={','.join(step.nodes)}",
        f"--ntasks={len(step.nodes) * step.tasks}",
        f"--ntasks-per-node={step.tasks}",
        f"--cpus-per-task={step.cpus}",  # not passed on from sbatch in 22.05 to 23.02
        *_gres(step),
        "--distribution=block",
        "--overlap",  # an interactive shell is a step of the job as well
        "--export=ALL",
        "--mpi=none",
        "--input=none",
        *(["--unbuffered"] if step.at_a_terminal else []),
        "--disable-status",  # makes srun pass SIGINT on
        "--kill-on-bad-exit=0",  # one process may end before the others with 130, which is no failure
        f"--wait={step.wait:.0f}",
    ]


NO_PTY = "Slurmd could not connect IO"
"""What srun says where a node has no pty for a step that needs one. srun 22.05 then ends with 0."""

Streams = Literal["terminal", "lines", "bytes"]
"""Through a terminal on the node; by whole lines, so that the process sees no terminal; or as they are, at once, for
which its output is a terminal that changes nothing."""

STREAM_OPTIONS: Mapping[Streams, Sequence[str]] = {"terminal": ("--pty",), "lines": (), "bytes": ("--unbuffered",)}


def session_command(job_id: str, node: str, *, cpus: int, gpus: int, streams: Streams) -> list[str]:
    """The srun command for one process on a node of a job, beside whatever else runs there, without its program.

    Args:
        cpus, gpus: what the process may use: all that the job has on the node.
        streams: how its input and output pass.
    """
    return [
        "srun",
        f"--jobid={job_id}",
        "--nodes=1",
        f"--nodelist={node}",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",  # not passed on from sbatch in 22.05 to 23.02
        *([f"--gres=gpu:{gpus}"] if gpus else []),
        "--overlap",
        "--export=ALL",
        "--mpi=none",
        *STREAM_OPTIONS[streams],
        "--disable-status",  # makes srun pass SIGINT on
    ]


def _gres(step: Step) -> list[str]:
    if step.shards:
        return [f"--gres=shard:{step.shards}"]
    return [f"--gres=gpu:{step.gpus}"] if step.gpus else []


def wait_for_step_start(step: Step, notice: Callable[[str], None]) -> None:
    """Wait until srun can start `step`. Called after another step of the job has ended.

    After a restart of slurmctld srun fails for some seconds, for example with "Memory required by task is not
    available", and while slurmctld is down it starts nothing. Neither is a failure of the run. What else srun says does
    not get better by waiting: then this returns, and the step itself fails with that message.

    srun may also wait by itself, for minutes: that is said as well, and the time limit watched meanwhile.

    Args:
        notice: called with a sentence if there is something to wait for, and again if that changes.

    Raises:
        TimeLimitReached: the job's time limit comes first, or its warning has come, which the step would not hear.
    """
    began, said = time.monotonic(), ""

    def report(why: str) -> None:
        nonlocal said
        if why != said:
            notice(f"Slurm cannot start the processes yet, and is asked again for {START_TIMEOUT / 60:.0f} min: {why}")
            said = why
        _check_time_left(step.job_id)

    def report_srun(text: str) -> None:
        report(f"srun: {text}." if text else "srun waits for Slurm and gives no reason.")

    _check_time_left(step.job_id)
    while time.monotonic() < began + START_TIMEOUT:
        try:
            run_command(*srun_command(step), "true", timeout=START_TIMEOUT, meanwhile=report_srun)
            return
        except SlurmSilent as problem:
            why = str(problem)
        except SlurmRefused as problem:
            if not PASSING_MESSAGE.search(problem.text):
                return
            why = str(problem)
        except SlurmMissing:
            return
        report(why)
        time.sleep(1.0)


def _check_time_left(job_id: str) -> None:
    """Nothing is checked if slurmctld does not answer.

    Raises:
        TimeLimitReached: so little time is left that Slurm has sent the warning before the time limit.
    """
    try:
        job = job_fields(job_id)
    except PassingloopError:
        return
    end, limit = timestamp(job.get("EndTime", "Unknown")), seconds(job.get("TimeLimit", ""))
    if end is not None and end - time.time() < max(MIN_SECONDS, warning_seconds(limit)):
        raise TimeLimitReached("The job's time limit came before Slurm could start the processes.")
