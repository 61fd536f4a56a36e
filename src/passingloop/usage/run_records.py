"""Runs as their directories tell of them: attempts with their times, settings, result, what was sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from passingloop.errors import OtherVersion
from passingloop.files import read_json
from passingloop.report.usage.attempt_time import AttemptTime, Span
from passingloop.rundir import ledger, record
from passingloop.rundir.directory import RunDir, folder_names, owner_name
from passingloop.rundir.events import End, Seconds, Start, Wait
from passingloop.rundir.ledger import Ledger
from passingloop.rundir.usage import Usage, read_usage
from passingloop.track.speed import known_figures
from passingloop.vitals import pulse

DAY = 86_400.0
"""Seconds by which the clock of a file server or a node may be wrong."""

SILENT = 120.0
"""Seconds after its last sign of life in which an attempt without an end counts as running."""

SECTIONS = ("adapter", "cluster", "resources", "sweep", "trainer")
"""Sections of the settings that the report reads."""

LATE_END = "It ended without giving a cause."
"""How the message of an end begins that the next attempt has written, so that its time is not when it happened."""


UNREADABLE = (OtherVersion, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What `read_run` raises for a directory with files that are damaged, or of another version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run."""

    run: RunDir
    user: str
    created: float
    ledger: Ledger
    result: Mapping[str, Any] | None
    """None if the run is not complete."""
    record: Mapping[str, Any]
    """The content of ``run.json``."""
    settings: Mapping[str, Any]
    """The settings of the newest attempt."""
    attempts: tuple[AttemptTime, ...]
    """Oldest first."""
    usage: Mapping[int, Usage]
    """Of the attempts that were sampled."""

    @property
    def name(self) -> str:
        return self.run.short_name

    @property
    def experiment(self) -> str:
        return self.run.path.parent.name

    @property
    def throughput(self) -> dict[str, float]:
        """The figures of `passingloop.track.speed.FIGURES` that its result has; none if it is not complete."""
        return known_figures((self.result or {}).get("throughput", {}))

    @property
    def mfu(self) -> float | None:
        """Its model FLOPs utilisation by the strictest definition."""
        return self.throughput.get("mfu_causal")

    def start(self, attempt: int) -> Start:
        """The start of one of its attempts."""
        return next(start for start in self.ledger.events_of(Start) if start.attempt == attempt)


def run_directories(root: Path) -> Iterator[RunDir]:
    """Every run under `root` that we may read, of all users."""
    for name in folder_names(root):
        runs = (RunDir(root / name / signature) for signature in folder_names(root / name))
        yield from (run for run in runs if _has_ledger(run))


def _has_ledger(run: RunDir) -> bool:
    try:
        run.attempts.stat()
    except OSError:  # there is none, or it is another user's and closed to us
        return False
    return True


def read_run(run: RunDir, since: float, now: float, user: str | None = None) -> RunRecord | None:
    """The run; None if it is another user's than `user`, or nothing has happened to it since `since`.

    Raises:
        UNREADABLE: a file of it cannot be read.
    """
    owner = owner_name(run.attempts.stat().st_uid)
    if (user is not None and owner != user) or _newest_change(run) < since - DAY:
        return None
    history = ledger.read(run)
    if not history.launches or history.events[-1].timestamp < since - DAY:
        return None
    starts = history.events_of(Start)
    attempts = tuple(_attempts(run, history, now))
    content, result = record.read(run), run.read_result()
    launch = run.launch(starts[-1].attempt if starts else 1)
    settings = read_json(launch) if launch.exists() else content["config"]
    sections = [config.get(name, {}) for config in (content["config"], settings) for name in SECTIONS]
    if not all(isinstance(each, dict) for each in (*sections, (result or {}).get("metrics", {}))):
        raise TypeError("a section of the settings, or the metrics of the result, are no object of JSON")
    usage = (
        {start.attempt: used for start in starts if (used := _usage(run, start.attempt))} if _has_samples(run) else {}
    )
    return RunRecord(
        run=run,
        user=owner,
        created=datetime.fromisoformat(content["created"]).timestamp(),
        ledger=history,
        result=result,
        record=content,
        settings=settings,
        attempts=tuple(_with_samples(attempt, usage.get(attempt.attempt)) for attempt in attempts),
        usage=usage,
    )


def _newest_change(run: RunDir) -> float:
    changed = 0.0
    for path in (run.attempts, run.pulse, run.result):
        with suppress(OSError):
            changed = max(changed, path.stat().st_mtime)
    return changed


def _attempts(run: RunDir, history: Ledger, now: float) -> Iterator[AttemptTime]:
    ends = {end.attempt: end for end in history.events_of(End)}
    waits = list(_waits(history))
    for start in history.events_of(Start):
        end = ends.get(start.attempt)
        beat = None if end else pulse.read(run, start.attempt)
        spent = end.seconds if end else beat.seconds if beat else Seconds()
        ended = end_time(start, end) if end else _last_sign(run, start, has_pulse=beat is not None)
        is_running = end is None and ended > now - SILENT
        yield AttemptTime(
            run=run.short_name,
            experiment=run.path.parent.name,
            attempt=start.attempt,
            started=start.timestamp,
            ended=now if is_running else max(start.timestamp, ended),
            is_running=is_running,
            cause=end.cause if end else None if is_running else "unknown",
            job_id=start.job_id,
            is_submitted=start.submission is not None,
            starting=spent.starting,
            training=spent.training,
            saving=spent.saving,
            # What an attempt has not saved yet is not lost.
            lost=0.0 if is_running else spent.lost,
            evaluating=spent.evaluating,
            data_wait=spent.data_wait,
            waits=tuple(wait for wait in waits if wait[1] <= start.timestamp),
        )


def end_time(start: Start, end: End) -> float:
    """When an attempt ended. If a later one has written it, it is when the last of its recorded seconds were over."""
    known = end.seconds.starting + end.seconds.training + end.seconds.saving
    if known and (end.message or "").startswith(LATE_END):
        return min(end.timestamp, start.timestamp + known)
    return end.timestamp


def _last_sign(run: RunDir, start: Start, *, has_pulse: bool) -> float:
    try:
        return run.pulse.stat().st_mtime if has_pulse else start.timestamp
    except OSError:
        return start.timestamp


def _waits(history: Ledger) -> Iterator[Span]:
    """From when to when a job waited before its attempt."""
    since: float | None = None
    for event in history.events:
        if isinstance(event, Wait) and event.reason is not None:
            since = event.timestamp if since is None else since
        elif isinstance(event, Wait | Start | End) and since is not None:
            yield since, max(since, event.timestamp)
            since = None


def _has_samples(run: RunDir) -> bool:
    return run.samples.is_dir()


def _usage(run: RunDir, attempt: int) -> Usage | None:
    try:
        return read_usage(run, attempt)
    except OtherVersion:  # a later version of the program took them
        return None


def _with_samples(attempt: AttemptTime, usage: Usage | None) -> AttemptTime:
    if usage is None:
        return attempt
    gpu_type = usage.devices[0] if usage.devices else None
    sampled = min(attempt.seconds, usage.seconds)
    return replace(attempt, sampled=sampled, busy=usage.busy, power=usage.power, gpu_type=gpu_type)
