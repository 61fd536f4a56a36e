"""How long a preempted job may go on on this cluster, for a run to compare with the time that its saving takes."""

from __future__ import annotations

from passingloop.errors import PassingloopError
from passingloop.slurm import control
from passingloop.slurm.command import ask, value
from passingloop.slurm.notation import seconds

PATIENCE = 5.0
"""Seconds. A run begins without the answer."""


def grace_seconds(job_id: str) -> float | None:
    """From the first signal of a preemption to the last; None where that is not known, or nothing preempts the job.

    Where QOS preempt each other only the database tells the time: ``scontrol show assoc_mgr`` of 22.05 leaves it out.
    """
    try:
        configuration = control.read_configuration(ask(*control.CONFIGURATION, timeout=PATIENCE))
        job = control.job(job_id)
        match configuration.preempt_type:
            case "preempt/qos":
                grace = of_qos(job["QOS"], _all_qos())
            case "preempt/partition_prio":
                grace = of_partition(ask("scontrol", "--oneliner", "show", "partition", job["Partition"]))
            case _:
                grace = None
    except PassingloopError:
        return None
    # After a grace time, or where there is none, Slurm sends SIGTERM and waits so long (measured on 22.05).
    return None if grace is None else max(grace, configuration.kill_wait)


def of_qos(name: str, qos: str) -> float | None:
    """The grace time of a QOS, in what `sacctmgr show qos` says of all; None if no other may preempt it."""
    rows = [line.split("|") for line in qos.splitlines()]
    preemptable = any(name in preempts.split(",") for _, _, preempts in rows)
    return next((seconds(grace) for row, grace, _ in rows if row == name), None) if preemptable else None


def of_partition(line: str) -> float | None:
    """The grace time of a partition, in what ``scontrol show partition`` says of it; None if it is not preempted."""
    return None if value(line, "PreemptMode") == "OFF" else float(value(line, "GraceTime") or 0)


def _all_qos() -> str:
    how = ("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,GraceTime,Preempt")
    return ask(*how, timeout=PATIENCE)
