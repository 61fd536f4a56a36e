"""``attempts.jsonl``: a line when an attempt starts and one when it ends; between them when it was queued or cancelled,
and what follows from an end.

Job ids are kept here and nowhere else, apart from the submission that is on its way (`passingloop.rundir.submission`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from passingloop.files import append_json_line, read_json_lines
from passingloop.rundir.layout import RunDir
from passingloop.rundir.record import now

Action = Literal["again", "requeue", "resubmit", "stop"]
"""What follows an attempt that did not complete: another in the same allocation, the same job in the queue again, a new
job, or nothing."""

Cause = Literal["completed", "preempted", "timeout", "node_fail", "crash", "oom", "cancelled", "interrupted"]


Memory = Literal["device", "host"]
"""Whose memory ran out, where less or more of it would help."""


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
    submission: str | None = None
    """The submission that brought it into the queue."""
    event: str = "start"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The line that an attempt ends with."""

    attempt: int
    end_step: int
    cause: Cause
    message: str | None = None
    memory: Memory | None = None
    tokens: int | None = None
    """In the forward pass that was too much for the device's memory."""
    seconds: Seconds = Seconds()
    event: str = "end"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """The line that is written when a job for the run has been submitted."""

    submission: str
    job_id: str
    """Slurm's, with the index of an array's task: ``12`` or ``12_3``."""
    after: int | None = None
    """The attempt whose end brought this about; none where a person submitted it."""
    data: list[str] = field(default_factory=list)
    """Jobs that prepare its data, for which it waits: each as the submission it has come from and its id, ``a/12``."""
    event: str = "queued"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """The line that is written when someone asks for the run to be stopped; a later `Queued` or `Start` undoes it."""

    event: str = "cancel"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The line that says what follows from the end of an attempt, and why."""

    attempt: int
    action: Action
    reason: str
    exclude: list[str] = field(default_factory=list)
    """Nodes that the next attempt avoids."""
    mem: str | None = None
    """Host memory per node that the next attempt asks for, if it is another than before."""
    event: str = "decision"
    time: str = field(default_factory=now)


def append(run: RunDir, line: Start | End | Queued | Cancel | Decision, *, durable: bool = True) -> None:
    """Add a line to the ledger; see `passingloop.files` for `durable`."""
    append_json_line(run.attempts, asdict(line), durable=durable)


def lines(run: RunDir) -> list[dict[str, Any]]:
    """All whole lines, oldest first. Those of queueing and cancelling have no attempt."""
    return read_json_lines(run.attempts)


def next_attempt(run: RunDir) -> int:
    """The number of the attempt that would start now, from 1."""
    return max((line.get("attempt", 0) for line in lines(run)), default=0) + 1


def ended(run: RunDir, attempt: int) -> bool:
    """Whether `attempt` has its end line."""
    return any(line["event"] == "end" and line["attempt"] == attempt for line in lines(run))
