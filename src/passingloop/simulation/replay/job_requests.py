"""What sbatch is told for a job of a trace. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passingloop.simulation.replay.private_cluster import Node
from passingloop.simulation.trace_jobs import TraceJob

DAY = 86400.0
MARGIN_S = 300.0
"""Beyond the time that a job takes: Slurm tells it up to two minutes before its limit, and a launch takes its time."""
SIGNAL_S = 60
"""Before its time limit a job is told to save."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the policy lets a job ask for."""

    qos: frozenset[str]
    """That the policy has; a job of another one gets the default."""
    longest_s: Mapping[str, float]
    """The longest time limit of each QOS that has one."""
    default_longest_s: float
    """For a job without a QOS of its own."""


def longest_s(job: TraceJob, limits: Limits) -> float:
    """The longest time limit that the job may have."""
    return limits.longest_s.get(job.qos, limits.default_longest_s)


def limit_minutes(job: TraceJob, limits: Limits) -> int:
    """What the job asks for: its own limit, long enough for what it computes, and no longer than allowed."""
    wanted = max(job.limit_s or 0.0, job.duration_s + MARGIN_S)
    return max(1, math.ceil(min(wanted, longest_s(job, limits)) / 60))


def placement(job: TraceJob, nodes: Sequence[Node]) -> tuple[int, int, int]:
    """Nodes, and GPUs and CPUs on each: on as few nodes as have room, with the same number on each."""
    most_gpus, most_cpus = max(node.gpus for node in nodes), max(node.cpus for node in nodes)
    if not job.gpus:
        count = max(1, math.ceil(job.cpus / most_cpus))
    else:
        count = math.ceil(job.gpus / max(1, most_gpus))
        while job.gpus % count:
            count += 1
    # A trace's nodes may have more CPUs for each GPU than ours: such a job takes its part of them.
    share = most_cpus if not job.gpus else most_cpus * (job.gpus // count) // max(1, most_gpus)
    return count, job.gpus // count, min(max(1, math.ceil(job.cpus / count)), max(1, share))


def sbatch_arguments(job: TraceJob, script: str, limits: Limits, nodes: Sequence[Node]) -> list[str]:
    """The command, but for whose job it is."""
    count, gpus, cpus = placement(job, nodes)
    words = [
        *("sbatch", "--parsable", "--export=NIL", "--output=/dev/null", "--chdir=/", "--requeue"),
        *(f"--job-name={job.number}", f"--account={job.account}", f"--time={limit_minutes(job, limits)}"),
        *(f"--signal=B:USR2@{SIGNAL_S}", f"--nodes={count}", "--ntasks-per-node=1", f"--cpus-per-task={cpus}"),
    ]
    if gpus:
        words.append(f"--gres=gpu:{gpus}")
    if job.qos in limits.qos:
        words.append(f"--qos={job.qos}")
    code = 0 if job.state == "completed" else 1
    return [*words, script, str(job.number), str(round(job.duration_s)), str(code)]
