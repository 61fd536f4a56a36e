"""Events of a ledger with as little said as a test needs."""

from __future__ import annotations

from typing import Any

from passingloop.rundir.events import Start


def start(attempt: int = 1, submission: str | None = "first", job_id: str | None = "12", **fields: Any) -> Start:
    """In a submitted job, or without `submission` in a shell."""
    usual = {"launcher": "slurm" if submission else "shell", "nodes": ["n1"], "processes": 1, "start_step": 0}
    return Start(attempt=attempt, submission=submission, job_id=job_id, **{"code": {}, **usual, **fields})
