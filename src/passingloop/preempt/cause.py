"""Why an attempt was asked to stop: the signal is the same for all of it, so Slurm is asked."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping

from passingloop.errors import PassingloopError
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Cause
from passingloop.slurm import control
from passingloop.slurm.command import own_job_id
from passingloop.slurm.notation import seconds, warning_seconds
from passingloop.slurm.states import End, end_of

OF_END: Mapping[End, Cause] = {
    "requeued": "preempted",
    "preempted": "preempted",
    "node failure": "node_fail",
    "time limit": "timeout",
    "out of memory": "oom",
    "cancelled": "cancelled",
    "failed": "crash",
}
"""What Slurm says of the end of a job, as the cause of the attempt's end."""

EARLY = 60.0
"""Seconds. The warning of the time limit may come this much too early: sbatch(1), --signal."""


def why_stopped(run: RunDir, restarts: int) -> Cause:
    """As far as it can be known now. Where no other cause is known it was a person: ``interrupted``.

    Args:
        restarts: how often Slurm had requeued the job when the attempt began.
    """
    name = own_job_id(os.environ)
    if ledger.read(run).is_cancel_requested:
        return "cancelled"
    if name is None:
        return "interrupted"
    try:
        job = control.job_fields(name)
    except PassingloopError:
        return "interrupted"  # Slurm does not answer; `passingloop status` will know more
    return cause(job, restarts=restarts, now=datetime.datetime.now())


def cause(job: Mapping[str, str], restarts: int, now: datetime.datetime) -> Cause:
    """From what ``scontrol show job`` says (measured on 22.05) while the job's processes get SIGTERM.

    Preempted with a grace time it is RUNNING and has a PreemptTime; requeued it is COMPLETING with a Restarts that has
    grown; past its limit COMPLETING with the Reason TimeLimit; cancelled COMPLETING with none; and RUNNING close to
    its EndTime where the warning came that was asked for.

    Args:
        restarts: how often it had been requeued when the attempt began.
        now: local time, as scontrol prints it.
    """
    state = job["JobState"]
    if int(job.get("Restarts", "0")) > restarts or job.get("PreemptTime", "None") != "None":
        return "preempted"
    if job.get("Reason") == "TimeLimit" or (state == "RUNNING" and _ends_soon(job, now)):
        return "timeout"
    if end := end_of(state):
        return OF_END[end]
    return "interrupted" if state == "RUNNING" else "cancelled"


def _ends_soon(job: Mapping[str, str], now: datetime.datetime) -> bool:
    try:
        end = datetime.datetime.fromisoformat(job["EndTime"])
    except ValueError:  # Unknown
        return False
    return (end - now).total_seconds() < warning_seconds(seconds(job.get("TimeLimit", ""))) + EARLY
