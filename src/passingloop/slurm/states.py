"""The states of Slurm's jobs, and what each means to us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Phase = Literal["waiting", "running", "ended"]
End = Literal["requeued", "preempted", "node failure", "time limit", "out of memory", "cancelled", "failed"]
"""How a job, or one of the times that it has been running, ended where it did not end well."""

STATES: Mapping[str, tuple[Phase, End | None]] = {
    "PENDING": ("waiting", None),
    "REQUEUED": ("waiting", "requeued"),
    "REQUEUE_FED": ("waiting", None),
    "REQUEUE_HOLD": ("waiting", None),
    "SPECIAL_EXIT": ("waiting", None),
    "RESV_DEL_HOLD": ("waiting", None),
    "CONFIGURING": ("running", None),
    "RUNNING": ("running", None),
    "COMPLETING": ("running", None),
    "SUSPENDED": ("running", None),
    "STOPPED": ("running", None),
    "SIGNALING": ("running", None),
    "STAGE_OUT": ("running", None),
    "RESIZING": ("running", None),
    "COMPLETED": ("ended", None),
    "FAILED": ("ended", "failed"),
    "CANCELLED": ("ended", "cancelled"),
    "TIMEOUT": ("ended", "time limit"),
    "DEADLINE": ("ended", "time limit"),
    "PREEMPTED": ("ended", "preempted"),
    "NODE_FAIL": ("ended", "node failure"),
    "BOOT_FAIL": ("ended", "node failure"),
    "OUT_OF_MEMORY": ("ended", "out of memory"),
}
"""squeue(1) and sacct(1), JOB STATE CODES, in the long form."""


def phase(state: str) -> Phase:
    """Whether a job in this state waits, runs or has ended; a state that is not in the table is an end."""
    return STATES.get(state, ("ended", None))[0]


def end_of(state: str) -> End | None:
    """How a job ended that was last in this state; None if it ended well or runs, or the state is not in the table."""
    return STATES.get(state, ("ended", None))[1]
