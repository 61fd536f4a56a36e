"""The events of a run, as ``attempts.jsonl`` has them (`passingloop.rundir.ledger`).

The run was queued, an attempt started or ended, a decision was taken after an end, a user cancelled the run, a job
waits before it can train, a supervisor asks its attempt to stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from passingloop.rundir.record import current_time

Action = Literal["again", "requeue", "resubmit", "stop"]
"""What is done after an attempt that did not complete the run: start another attempt in the same allocation (`again`),
requeue the job, submit a new job, or stop."""

Cause = Literal[
    "completed",
    "paused",
    "preempted",
    "requeued",
    "timeout",
    "node_fail",
    "crash",
    "oom",
    "cancelled",
    "interrupted",
    "hung",
    "idle",
]
"""Why an attempt ended. `paused`: at the step of `trainer.pause_at`, as it was to; `requeued`: a person has put its
job back into the queue; `hung`: it made no progress for too long; `idle`: its GPUs computed nothing for too long."""

Memory = Literal["device", "host"]
"""Whether the device (GPU) or the host ran out of memory."""


@dataclass(frozen=True, slots=True)
class JobRef:
    """A Slurm job and the submission that it belongs to; as text ``20261121T080605-a1b2c3/12``."""

    submission: str
    job_id: str

    @classmethod
    def parse(cls, text: str) -> JobRef:
        return cls(*text.split("/"))

    def __str__(self) -> str:
        return f"{self.submission}/{self.job_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a job was submitted with, and when Slurm expected to start it."""

    nodes: int
    gpus: int
    """Per node."""
    shards: int = 0
    """Parts of a GPU that are asked for instead."""
    cluster: str
    """Its name in Slurm."""
    expected_start: str | None = None
    """UTC, as ISO 8601; None if it is not known, or if the job was to wait for something else than its place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seconds:
    """How an attempt's time was spent, in seconds of wall-clock time."""

    queued: float = 0.0
    starting: float = 0.0
    """From the start of the process to the first step."""
    training: float = 0.0
    """Optimizer steps and evaluations."""
    saving: float = 0.0
    """Waiting for checkpoints and the export."""
    lost: float = 0.0
    """The part of `training` that was spent on steps which no checkpoint contains."""
    evaluating: float | None = None
    """The part of `training` that was spent on evaluations; None in ledgers of earlier versions, as the next one."""
    data_wait: float | None = None
    """The part of `training` in which the first process waited for its next batch, and its device had nothing to do."""


class _TimedEvent:
    """An event with a `time`, UTC as ISO 8601."""

    __slots__ = ()
    time: str

    @property
    def timestamp(self) -> float:
        """`time` in seconds since the epoch."""
        return datetime.fromisoformat(self.time).timestamp()


@dataclass(frozen=True, kw_only=True, slots=True)
class Start(_TimedEvent):
    """An attempt starts."""

    attempt: int
    launcher: str
    job_id: str | None
    nodes: list[str]
    processes: int
    start_step: int
    code: dict[str, Any]
    submission: str | None = None
    """The submission whose job runs the attempt; None for an attempt in a shell."""
    token: str | None = None
    """Tells the attempt from another one with the same number, which a file system without locks would allow. None in
    ledgers of earlier versions."""
    gpus: int | None = None
    """GPUs per node that the attempt uses. None in ledgers of earlier versions."""
    event: Literal["start"] = "start"
    time: str = field(default_factory=current_time)

    @property
    def job(self) -> JobRef | None:
        """The submitted job that runs the attempt; None in a shell, also in a shell inside an allocation."""
        return JobRef(self.submission, self.job_id) if self.submission and self.job_id else None


@dataclass(frozen=True, kw_only=True, slots=True)
class End(_TimedEvent):
    """An attempt ends."""

    attempt: int
    end_step: int
    cause: Cause
    message: str | None = None
    memory: Memory | None = None
    tokens: int | None = None
    """Tokens in the forward pass that ran out of device memory."""
    rank: int | None = None
    """The process that stood behind the others when the attempt hung; None if none did."""
    seconds: Seconds = Seconds()
    event: Literal["end"] = "end"
    time: str = field(default_factory=current_time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(_TimedEvent):
    """A job for the run is submitted."""

    submission: str
    job_id: str
    """Slurm's job id: ``12``, or ``12_3`` for a task of an array."""
    after: int | None = None
    """The attempt after whose end passingloop submitted the job; None if a user submitted it."""
    data: list[JobRef] = field(default_factory=list)
    """The jobs that prepare the run's data, for which this job waits."""
    request: Request | None = None
    """None in ledgers of earlier versions."""
    event: Literal["queued"] = "queued"
    time: str = field(default_factory=current_time)

    @property
    def job(self) -> JobRef:
        return JobRef(self.submission, self.job_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel(_TimedEvent):
    """A user asks for the run to be stopped. A later `Queued` or `Start` revokes it."""

    event: Literal["cancel"] = "cancel"
    time: str = field(default_factory=current_time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision(_TimedEvent):
    """What is done after the end of an attempt, and why."""

    attempt: int
    action: Action
    reason: str
    exclude: list[str] = field(default_factory=list)
    """Nodes that the next attempt must not use."""
    mem: str | None = None
    """Host memory per node that the next attempt requests; None leaves it as it was."""
    nodes: int | None = None
    """Nodes that the next attempt requests, of a range; None leaves it as it was."""
    gpus: int | None = None
    """GPUs per node, likewise."""
    event: Literal["decision"] = "decision"
    time: str = field(default_factory=current_time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait(_TimedEvent):
    """A job that runs waits for something before its attempt can train, or waits no longer."""

    attempt: int
    reason: str | None
    """What it waits for, as a sentence; None once it waits no longer. The start or the end of an attempt ends a wait,
    too."""
    event: Literal["wait"] = "wait"
    time: str = field(default_factory=current_time)


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequest(_TimedEvent):
    """The supervisor of an attempt asks its processes to save and stop."""

    attempt: int
    cause: Cause
    """The cause of the end that follows."""
    message: str
    """Why, as a sentence."""
    event: Literal["stop_request"] = "stop_request"
    time: str = field(default_factory=current_time)


LATER = ("request", "nodes", "gpus", "rank", "evaluating", "data_wait")
"""Fields that came later than others, and are left out of the file where they are None."""

Event = Start | End | Queued | Cancel | Decision | Wait | StopRequest
EventType = TypeVar("EventType", Start, End, Queued, Cancel, Decision, Wait, StopRequest)
