"""``attempts.jsonl``, the ledger of a run: its events, one JSON object per line, oldest first.

The ids of Slurm jobs are stored here. Those of a submission in progress are stored with the submission until it is
complete (`passingloop.rundir.submission`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args, get_origin, get_type_hints

from passingloop.files import append_json_line, read_json_lines
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import (
    LATER,
    Cancel,
    Decision,
    End,
    Event,
    EventType,
    JobRef,
    Queued,
    Request,
    Seconds,
    Start,
    StopRequest,
    Wait,
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The events of a run, oldest first."""

    events: tuple[Event, ...] = ()

    def events_of(self, kind: type[EventType]) -> list[EventType]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def next_attempt(self) -> int:
        """The number of the next attempt; the first has number 1."""
        return max((event.attempt for event in self.events if isinstance(event, Start | End | Decision)), default=0) + 1

    def end(self, attempt: int) -> End | None:
        """The end of `attempt`; None if it has not ended."""
        return next((end for end in self.events_of(End) if end.attempt == attempt), None)

    @property
    def stop_request(self) -> StopRequest | None:
        """What the newest attempt's supervisor has asked it, if it has asked it to stop."""
        events = itertools.takewhile(lambda event: not isinstance(event, Start), reversed(self.events))
        return next((event for event in events if isinstance(event, StopRequest)), None)

    @property
    def launches(self) -> list[Queued | Start]:
        """The events by which the run was queued or an attempt was started."""
        return [event for event in self.events if isinstance(event, Queued | Start)]

    @property
    def newest_launch(self) -> Queued | Start | None:
        return next(reversed(self.launches), None)

    @property
    def jobs(self) -> list[JobRef]:
        """The submitted job of each launch that has one."""
        return [launch.job for launch in self.launches if launch.job]

    @property
    def newest_job(self) -> JobRef | None:
        return next(reversed(self.jobs), None)

    def is_replaced(self, submission: str) -> bool:
        """Whether another job was submitted for the run after that of `submission`."""
        names = [queued.submission for queued in self.events_of(Queued)]
        return submission in names and names[-1] != submission

    @property
    def data_jobs(self) -> list[JobRef]:
        """The jobs that prepare the data for which the run waits; empty once an attempt has started."""
        return self.newest_launch.data if isinstance(self.newest_launch, Queued) else []

    @property
    def waits(self) -> list[Wait]:
        """What the running job has waited for since it last trained or was queued, oldest first; empty if it waits for
        nothing."""
        aside = (Wait, Cancel, StopRequest)
        newest = list(itertools.takewhile(lambda event: isinstance(event, aside), reversed(self.events)))
        waits = [event for event in reversed(newest) if isinstance(event, Wait)]
        return [] if not waits or waits[-1].reason is None else waits

    @property
    def is_cancel_requested(self) -> bool:
        """Whether a user has asked for the run to be stopped since its newest launch."""
        newest = next((event for event in reversed(self.events) if isinstance(event, Start | Queued | Cancel)), None)
        return isinstance(newest, Cancel)

    @property
    def since_user_action(self) -> Ledger:
        """The ledger from the newest event on that a user caused: a submission, or a command in a shell.

        Submissions by passingloop itself are recognised by their field `after`, and attempts that it starts again in a
        shell by the decision `again` before them.
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
    """Append an event to the ledger; for `durable` see `passingloop.files.write_text`."""
    row = asdict(event, dict_factory=_without_later_fields)
    if isinstance(event, Queued):
        row["data"] = [str(job) for job in event.data]
    append_json_line(run.attempts, row, durable=durable)


def _without_later_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if name not in LATER or value is not None}


def read(run: RunDir) -> Ledger:
    """Read the ledger of a run; empty if there is no file.

    The file may be written by a later version of the program. Unknown fields and events are ignored, and so are lines
    that lack a required field or have a value of another type. Values such as `cause` and `action` may be ones that
    this version does not know.
    """
    events = (_event(row) for row in read_json_lines(run.attempts))
    return Ledger(tuple(_without_late_events(event for event in events if event)))


_EVENT_TYPES: Mapping[str, type[Event]] = {
    "start": Start,
    "end": End,
    "queued": Queued,
    "cancel": Cancel,
    "decision": Decision,
    "wait": Wait,
    "stop_request": StopRequest,
}


def _without_late_events(events: Iterable[Event]) -> Iterator[Event]:
    """Without what an attempt has written after a newer one started, and without a second start of the same number, or
    a second end: of an attempt that hung its supervisor writes the end before it kills the processes."""
    newest, ended = 0, 0
    for event in events:
        if isinstance(event, Start):
            if event.attempt > newest:
                newest = event.attempt
                yield event
        elif isinstance(event, End) and event.attempt == ended:
            continue
        elif not isinstance(event, End | Decision | Wait | StopRequest) or event.attempt >= newest:
            ended = event.attempt if isinstance(event, End) else ended
            yield event


def _event(row: Mapping[str, Any]) -> Event | None:
    kind = _EVENT_TYPES.get(str(row.get("event")))
    if kind is None or "time" not in row:
        return None
    fields = _known_fields(kind, row)
    try:
        if "seconds" in fields:
            fields["seconds"] = Seconds(**_known_fields(Seconds, fields["seconds"]))
        if "data" in fields:
            fields["data"] = [JobRef.parse(job) for job in fields["data"]]
        if fields.get("request"):
            fields["request"] = Request(**_known_fields(Request, fields["request"]))
        return _checked(kind(**fields))
    except (TypeError, AttributeError, ValueError):  # a field is missing, or has a value of another type
        return None


def _checked(event: Event) -> Event:
    """The event; a TypeError or ValueError if a value is not of its field's type, or its time is none."""
    for part in (event, getattr(event, "seconds", None), getattr(event, "request", None)):
        for name, types in _FIELD_TYPES[type(part)] if part else ():
            value = getattr(part, name)
            items = value if isinstance(value, list) else ()
            if not isinstance(value, types) or not all(isinstance(item, str | JobRef) for item in items):
                raise TypeError(name)
    datetime.fromisoformat(event.time)
    return event


def _types_of(hint: Any) -> tuple[type, ...]:
    """The types that the values of a field may have; of words also those that this version does not know."""
    if (origin := get_origin(hint)) in (Literal, list, dict):
        return (str if origin is Literal else origin,)
    if parts := get_args(hint):
        return tuple(each for part in parts for each in _types_of(part))
    return (int, float) if hint is float else (hint,)


_FIELD_TYPES: Mapping[type, list[tuple[str, tuple[type, ...]]]] = {
    kind: [(name, _types_of(hint)) for name, hint in get_type_hints(kind).items()]
    for kind in (*_EVENT_TYPES.values(), Seconds, Request)
}


def _known_fields(kind: type[Event | Seconds | Request], row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in kind.__dataclass_fields__ if name in row}
