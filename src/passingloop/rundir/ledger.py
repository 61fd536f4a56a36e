"""``attempts.jsonl``: what has happened to a run, one event per line.

An attempt starts and ends. Between attempts the run is queued or cancelled, and it is decided what follows from an end.

Job ids are kept here and nowhere else, apart from the submission that is on its way (`passingloop.rundir.submission`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from passingloop.files import append_json_line, read_json_lines
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import now

Action = Literal["again", "requeue", "resubmit", "stop"]
"""What follows an attempt that did not complete: another in the same allocation, the same job in the queue again, a new
job, or nothing."""

Cause = Literal["completed", "preempted", "timeout", "node_fail", "crash", "oom", "cancelled", "interrupted"]

Memory = Literal["device", "host"]
"""Whose memory ran out, where less or more of it would help."""


@dataclass(frozen=True, slots=True)
class JobRef:
    """A Slurm job and the submission that it came from; as text ``20261121T080605-a1b2c3/12``."""

    submission: str
    job_id: str

    @classmethod
    def parse(cls, text: str) -> JobRef:
        return cls(*text.split("/"))

    def __str__(self) -> str:
        return f"{self.submission}/{self.job_id}"


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


class _Dated:
    """What has a `time`, UTC as ISO 8601."""

    __slots__ = ()
    time: str

    @property
    def moment(self) -> float:
        """Seconds since the epoch."""
        return datetime.fromisoformat(self.time).timestamp()


@dataclass(frozen=True, kw_only=True, slots=True)
class Start(_Dated):
    """An attempt begins."""

    attempt: int
    launcher: str
    job_id: str | None
    nodes: list[str]
    processes: int
    start_step: int
    code: dict[str, Any]
    submission: str | None = None
    """The submission that brought it into the queue."""
    event: Literal["start"] = "start"
    time: str = field(default_factory=now)

    @property
    def job(self) -> JobRef | None:
        """The submitted job in which it began; None in a shell, also in that of an allocation."""
        return JobRef(self.submission, self.job_id) if self.submission and self.job_id else None


@dataclass(frozen=True, kw_only=True, slots=True)
class End(_Dated):
    """An attempt has ended."""

    attempt: int
    end_step: int
    cause: Cause
    message: str | None = None
    memory: Memory | None = None
    tokens: int | None = None
    """In the forward pass that was too much for the device's memory."""
    seconds: Seconds = Seconds()
    event: Literal["end"] = "end"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(_Dated):
    """A job for the run has been submitted."""

    submission: str
    job_id: str
    """Slurm's, with the index of an array's task: ``12`` or ``12_3``."""
    after: int | None = None
    """The attempt whose end brought this about; none where a person submitted it."""
    data: list[JobRef] = field(default_factory=list)
    """Jobs that prepare its data, for which it waits."""
    event: Literal["queued"] = "queued"
    time: str = field(default_factory=now)

    @property
    def job(self) -> JobRef:
        return JobRef(self.submission, self.job_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel(_Dated):
    """Someone asks for the run to be stopped; a later `Queued` or `Start` undoes it."""

    event: Literal["cancel"] = "cancel"
    time: str = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision(_Dated):
    """What follows from the end of an attempt, and why."""

    attempt: int
    action: Action
    reason: str
    exclude: list[str] = field(default_factory=list)
    """Nodes that the next attempt avoids."""
    mem: str | None = None
    """Host memory per node that the next attempt asks for, if it is another than before."""
    event: Literal["decision"] = "decision"
    time: str = field(default_factory=now)


Event = Start | End | Queued | Cancel | Decision
AnEvent = TypeVar("AnEvent", Start, End, Queued, Cancel, Decision)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The events of a run, oldest first."""

    events: tuple[Event, ...] = ()

    def events_of(self, kind: type[AnEvent]) -> list[AnEvent]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that would start now, from 1."""
        return max((event.attempt for event in self.events if isinstance(event, Start | End | Decision)), default=0) + 1

    def end(self, attempt: int) -> End | None:
        """The end of `attempt`, if it has ended."""
        return next((end for end in self.events_of(End) if end.attempt == attempt), None)

    @property
    def launches(self) -> list[Queued | Start]:
        """The events that brought the run into the queue, or an attempt to its beginning."""
        return [event for event in self.events if isinstance(event, Queued | Start)]

    @property
    def newest_launch(self) -> Queued | Start | None:
        return next(reversed(self.launches), None)

    @property
    def jobs(self) -> list[JobRef]:
        """The jobs that were submitted for the run, one for each launch in one."""
        return [launch.job for launch in self.launches if launch.job]

    @property
    def newest_job(self) -> JobRef | None:
        return next(reversed(self.jobs), None)

    @property
    def data_jobs(self) -> list[JobRef]:
        """The jobs that prepare the data the run waits for; none once it has begun."""
        return self.newest_launch.data if isinstance(self.newest_launch, Queued) else []

    @property
    def is_cancel_requested(self) -> bool:
        """Whether someone has asked for the run to be stopped since it was last launched."""
        newest = next((event for event in reversed(self.events) if isinstance(event, Start | Queued | Cancel)), None)
        return isinstance(newest, Cancel)

    @property
    def since_user_action(self) -> Ledger:
        """The events from the newest on that a person caused: a submission, or a command in a shell.

        What passingloop submits by itself names the attempt that it comes after, and what it starts again in a shell
        follows the decision to do so.
        """
        indices = reversed(range(len(self.events)))
        return Ledger(self.events[next((index for index in indices if self._is_user_action(index)), 0) :])

    def _is_user_action(self, index: int) -> bool:
        event, before = self.events[index], self.events[index - 1] if index else None
        if isinstance(event, Queued):
            return event.after is None
        again = isinstance(before, Decision) and before.action == "again"
        return isinstance(event, Start) and not event.submission and not again


def append(run: RunDir, event: Event, *, durable: bool = True) -> None:
    """Add an event to the ledger; see `passingloop.files` for `durable`."""
    row = asdict(event)
    if isinstance(event, Queued):
        row["data"] = [str(job) for job in event.data]
    append_json_line(run.attempts, row, durable=durable)


def read(run: RunDir) -> Ledger:
    """What was appended.

    A later version may add fields, which are left out here, and events, which are passed over, as are lines that lack
    what such an event must have. So a run that was carried on with that version can still be looked at with this one.
    """
    events = (_event(row) for row in read_json_lines(run.attempts))
    return Ledger(tuple(event for event in events if event))


_KINDS: Mapping[str, type[Event]] = {
    "start": Start,
    "end": End,
    "queued": Queued,
    "cancel": Cancel,
    "decision": Decision,
}


def _event(row: Mapping[str, Any]) -> Event | None:
    kind = _KINDS.get(row["event"])
    if kind is None or "time" not in row:
        return None
    fields = _known(kind, row)
    if "seconds" in fields:
        fields["seconds"] = Seconds(**_known(Seconds, fields["seconds"]))
    if "data" in fields:
        fields["data"] = [JobRef.parse(job) for job in fields["data"]]
    try:
        return kind(**fields)
    except TypeError:
        return None


def _known(kind: type[Event | Seconds], row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in kind.__dataclass_fields__ if name in row}
