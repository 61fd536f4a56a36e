"""The time between a preemption's first signal and the kill. A run compares it with the time a checkpoint takes."""

from __future__ import annotations

from passingloop.errors import PassingloopError
from passingloop.slurm import control
from passingloop.slurm.command import field_value, run_command
from passingloop.slurm.notation import seconds

TIMEOUT = 5.0
"""Seconds for each command. A run starts without the answer if it takes longer."""


def grace_seconds(job_id: str) -> float | None:
    """Seconds from the first signal of a preemption to SIGKILL; None if unknown, or if the job cannot be preempted.

    The grace time of a QOS is read from slurmdbd, as ``scontrol show assoc_mgr`` does not show it (22.05).
    """
    try:
        configuration = control.read_configuration(run_command(*control.CONFIGURATION_COMMAND, timeout=TIMEOUT))
        job = control.job_fields(job_id)
        match configuration.preempt_type:
            case "preempt/qos":
                grace = qos_grace_seconds(job["QOS"], _qos_table())
            case "preempt/partition_prio":
                grace = partition_grace_seconds(
                    run_command("scontrol", "--oneliner", "show", "partition", job["Partition"])
                )
            case _:
                grace = None
    except PassingloopError:
        return None
    # At the end of the grace time Slurm sends SIGTERM, and SIGKILL after KillWait (measured on 22.05).
    return None if grace is None else max(grace, configuration.kill_wait)


def qos_grace_seconds(name: str, qos: str) -> float | None:
    """The grace time in seconds of the QOS `name`; None if no QOS may preempt it.

    Args:
        qos: the output of ``sacctmgr show qos`` for all QOS, with Name, GraceTime and Preempt.
    """
    rows = [line.split("|") for line in qos.splitlines()]
    preemptable = any(name in preempts.split(",") for _, _, preempts in rows)
    return next((seconds(grace) for row, grace, _ in rows if row == name), None) if preemptable else None


def partition_grace_seconds(line: str) -> float | None:
    """The grace time in seconds of a partition, from its line of ``scontrol show partition``; None if not preempted."""
    return None if field_value(line, "PreemptMode") == "OFF" else float(field_value(line, "GraceTime") or 0)


def _qos_table() -> str:
    command = ("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,GraceTime,Preempt")
    return run_command(*command, timeout=TIMEOUT)
