"""Outcomes and replays in few words. Times are seconds, as in the trace."""

from __future__ import annotations

from collections.abc import Sequence

from passingloop.simulation.trace_jobs import Outcome, Replay, Segment, State, TraceJob


def outcome(
    *held: tuple[float, float] | tuple[float, float, float],
    submit: float = 0.0,
    gpus: int = 1,
    account: str = "vision",
    qos: str = "production",
    patience: float | None = None,
    reason: str = "",
) -> Outcome:
    """A job that held its GPUs at these times; the third number of one is what was lost. Between them it was
    preempted."""
    segments = [
        Segment(
            part[0], part[1], part[2] if len(part) == 3 else 0.0, "preempted" if part is not held[-1] else "completed"
        )
        for part in held
    ]
    state: State = "completed" if patience is None else "cancelled"
    duration = sum(segment.end_s - segment.start_s - segment.lost_s for segment in segments) or 600.0
    job = TraceJob(
        number=1,
        submit_s=submit,
        duration_s=0.0 if patience is not None else duration,
        gpus=gpus,
        cpus=1,
        user="ada",
        account=account,
        qos=qos,
        state=state,
        patience_s=patience,
    )
    return Outcome(job=job, eligible_s=submit, segments=tuple(segments), reason=reason)


def replay(outcomes: Sequence[Outcome], gpus: int = 8, length: float = 3600.0, policy: str = "policy.yaml") -> Replay:
    """Of an hour on 8 GPUs."""
    return Replay(
        policy=policy,
        trace="made",
        gpus=gpus,
        length_s=length,
        factor=100.0,
        overhead=0.01,
        left_out=(),
        outcomes=tuple(outcomes),
    )
