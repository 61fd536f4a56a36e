"""Jobs of a trace, and what became of them when the trace was replayed. Times are seconds from the trace's begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["completed", "failed", "cancelled", "timeout"]
"""How a job of the trace ended."""


@dataclass(frozen=True)
class TraceJob:
    """One job of a trace.

    `duration_s` is how long it computes, without waits and restarts, until it ends in `state`. `cancelled` with a
    duration of 0 was cancelled while it waited, `patience_s` after its submission. An empty `qos` is the default one.
    """

    number: int
    submit_s: float
    duration_s: float
    gpus: int
    cpus: int
    user: str
    account: str
    qos: str = ""
    state: State = "completed"
    limit_s: float | None = None
    patience_s: float | None = None


@dataclass(frozen=True)
class Segment:
    """One time in which a job held its GPUs. `lost_s` of it was computed in vain: not saved, or spent on restarting."""

    start_s: float
    end_s: float
    lost_s: float
    end: Literal["completed", "failed", "cancelled", "timeout", "preempted", "running"]


@dataclass(frozen=True)
class Outcome:
    """What became of one job. `reason` is Slurm's reason for waiting if it never started, and else empty."""

    job: TraceJob
    eligible_s: float
    segments: tuple[Segment, ...]
    reason: str = ""


@dataclass(frozen=True)
class Replay:
    """One trace replayed under one policy.

    `factor` is how much faster time went by than in the trace, `overhead` the time to launch a job as a share of the
    median job, `left_out` says in sentences which jobs were merged or dropped.
    """

    policy: str
    trace: str
    gpus: int
    length_s: float
    factor: float
    overhead: float
    left_out: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    tail_s: float = 0.0
    """For so long after the trace's period jobs that waited could start."""
