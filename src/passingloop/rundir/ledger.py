"""``attempts.jsonl``: a line when an attempt starts and one when it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from passingloop.rundir.atomic import append_json_line, read_json_lines
from passingloop.rundir.layout import RunDir
from passingloop.rundir.record import now

Cause = Literal["completed", "preempted", "timeout", "node_fail", "crash", "oom", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seconds:
    """Where an attempt's time went, in seconds of wall-clock time."""

    queued: float = 0.0
    starting: float = 0.0
    """From the start of the process to the first step."""
    training: float = 0.0
    """In optimizer steps and evaluations."""
    saving: float = 0.0
    """Waiting for checkpoints and the export."""
    lost: float = 0.0
    """Of training: on steps that no checkpoint kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The line that an attempt begins with."""

    attempt: int
    launcher: str
    job_id: str | None
    nodes: list[str]
    processes: int
    start_step: int
    code: dict[str, Any]
    event: str = "start"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The line that an attempt ends with."""

    attempt: int
    end_step: int
    cause: Cause
    message: str | None = None
    seconds: Seconds = Seconds()
    event: str = "end"
    time: str = field(default_factory=now)


def append(run: RunDir, line: Start | End) -> None:
    """Add a line to the ledger."""
    append_json_line(run.attempts, asdict(line))


def next_attempt(run: RunDir) -> int:
    """The number of the attempt that would start now, from 1."""
    return max((line["attempt"] for line in read_json_lines(run.attempts)), default=0) + 1


def ended(run: RunDir, attempt: int) -> bool:
    """Whether `attempt` has its end line."""
    return any(line["attempt"] == attempt and line["event"] == "end" for line in read_json_lines(run.attempts))
