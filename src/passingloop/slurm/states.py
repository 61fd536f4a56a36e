"""Slurm's job states: whether a job in a state is pending, runs or has ended, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Phase = Literal["waiting", "running", "ended"]
End = Literal["requeued", "preempted", "node failure", "time limit", "out of memory", "cancelled", "failed"]
"""How a job, or one of its running periods, ended if it did not succeed."""

RUNNING, COMPLETING, COMPLETED = "RUNNING", "COMPLETING", "COMPLETED"

STATES: Mapping[str, tuple[Phase, End | None]] = {
    "PENDING": ("waiting", None),
    "REQUEUED": ("waiting", "requeued"),
    "REQUEUE_FED": ("waiting", None),
    "REQUEUE_HOLD": ("waiting", None),
    "SPECIAL_EXIT": ("waiting", None),
    "EXPEDITING": ("waiting", None),
    "LAUNCH_FAILED": ("waiting", None),  # a flag of jobs that are requeued, as the next one
    "RECONFIG_FAIL": ("waiting", None),
    "RESV_DEL_HOLD": ("waiting", None),
    "CONFIGURING": ("running", None),
    "POWER_UP_NODE": ("running", None),
    RUNNING: ("running", None),
    COMPLETING: ("running", None),
    "SUSPENDED": ("running", None),
    "STOPPED": ("running", None),
    "SIGNALING": ("running", None),
    "STAGE_OUT": ("running", None),
    "RESIZING": ("running", None),
    "UPDATE_DB": ("running", None),
    "REVOKED": ("running", None),  # on another cluster of the federation
    COMPLETED: ("ended", None),
    "FAILED": ("ended", "failed"),
    "CANCELLED": ("ended", "cancelled"),
    "TIMEOUT": ("ended", "time limit"),
    "DEADLINE": ("ended", "time limit"),
    "PREEMPTED": ("ended", "preempted"),
    "NODE_FAIL": ("ended", "node failure"),
    "BOOT_FAIL": ("ended", "node failure"),
    "OUT_OF_MEMORY": ("ended", "out of memory"),
}
"""squeue(1) and sacct(1), JOB STATE CODES, and https://slurm.schedmd.com/job_state_codes.html, in the long form."""

UNKNOWN: tuple[Phase, End | None] = ("running", None)
"""For a state of a newer release. A job that is taken for ended would be submitted again beside itself; one that is
taken for running is corrected as soon as it has ended: then it leaves the queue, and accounting has its last state."""


def job_phase(state: str) -> Phase:
    """Whether a job in this state is pending, runs or has ended. An unknown state counts as running."""
    return STATES.get(state, UNKNOWN)[0]


def job_end(state: str) -> End | None:
    """How a job ended that was last in this state; None if it succeeded or has not ended, or the state is unknown."""
    return STATES.get(state, UNKNOWN)[1]
