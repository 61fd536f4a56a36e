"""Allocations and attempts with as little said as a test needs."""

from __future__ import annotations

from typing import Any

from passingloop.report.usage.allocation_use import Allocation, RunPart
from passingloop.report.usage.attempt_time import AttemptTime

HOUR = 3600.0


def allocation(started: float = 0.0, ended: float = HOUR, **fields: Any) -> Allocation:
    usual: dict[str, Any] = {
        "job_id": "7",
        "name": "job",
        "user": "anna",
        "qos": "normal",
        "nodes": ("n1",),
        "gpus": 1.0,
    }
    return Allocation(**usual | {"gpus": 1.0, "started": started, "ended": ended} | fields)


def part(run: str = "a/1", sampled: float = 0.0, busy: float | None = None, **seconds: float) -> RunPart:
    return RunPart(run=run, experiment=run.partition("/")[0], seconds=seconds, sampled=sampled, busy=busy)  # type: ignore[arg-type]


def attempt(started: float = 0.0, ended: float = 100.0, **fields: Any) -> AttemptTime:
    usual: dict[str, Any] = {"run": "a/1", "experiment": "a", "attempt": 1, "cause": "completed", "job_id": "7"}
    return AttemptTime(**usual | {"started": started, "ended": ended} | fields)
