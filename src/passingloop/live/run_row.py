"""What is shown of a run: how far it is, how long it still takes, and why it waits. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from passingloop.live.drawing import NO_VALUES, Series
from passingloop.pending.wording import count_text, time_text
from passingloop.status.rest import Rest
from passingloop.status.state import State

SortKey = Literal["state", "name", "progress", "left", "loss", "since"]
SORT_KEYS: tuple[SortKey, ...] = ("state", "name", "progress", "left", "loss", "since")

ORDER = ("running", "pending", "missing", "failed", "lost", "interrupted", "paused", "cancelled", "completed")
"""Kinds of states, those that are looked at most first."""

QUIET_STEPS, QUIET_SECONDS = 10, 120.0
"""A run is quiet if it has done no step for as long as so many steps take, and for so many seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is, as its files say. None is what is not known."""

    step: int | None = None
    steps: int | None = None
    """In all."""
    saved_step: int | None = None
    pace: float | None = None
    """Steps per second of this attempt, validation and saves included."""
    newest: float | None = None
    """When the newest step was done, in seconds since the epoch."""
    loss: float | None = None
    """Of the newest training steps."""
    metric: tuple[str, float] | None = None
    """A figure of the validation or test data, and its value."""

    @property
    def share(self) -> float | None:
        return min(1.0, self.step / self.steps) if self.step is not None and self.steps else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run that has ended, as far as it is known without reading its directory."""

    rest: Rest
    progress: Progress | None
    """None if its files have to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """The values of the last minutes."""

    loss: Series = NO_VALUES
    busy: Series = NO_VALUES
    """The mean busy share of the run's GPUs; of its CPUs, if it has no GPU."""
    device: str = "GPU"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where its job stands in the queue."""

    place: int
    of: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A run at one time."""

    state: State
    progress: Progress = Progress()
    place: Place | None = None
    limit_ends: float | None = None
    """When the time of its job ends."""

    @property
    def name(self) -> str:
        return self.state.run.short_name

    @property
    def kind_text(self) -> str:
        """Its state; with a question mark, if Slurm does not confirm it."""
        return self.state.kind if self.state.confirmed else f"{self.state.kind}?"

    def seconds_left(self, now: float) -> float | None:
        """Until it is done, if it goes on at its pace; None if that is not known."""
        progress = self.progress
        if self.state.kind != "running" or not progress.pace or progress.step is None or progress.steps is None:
            return None
        since = max(0.0, now - progress.newest) if progress.newest else 0.0
        return max(0.0, (progress.steps - progress.step) / progress.pace - since)

    def quiet_for(self, now: float) -> float | None:
        """Seconds since its newest step, if they are more than its pace explains."""
        progress = self.progress
        if self.state.kind != "running" or progress.newest is None or self.state.attempt_start is None:
            return None
        quiet = now - progress.newest
        expected = QUIET_STEPS / progress.pace if progress.pace else 0.0
        return quiet if quiet > max(QUIET_SECONDS, expected) else None

    def standing(self, now: float) -> str:
        """Why it waits, or how it ended, in words; empty while it trains."""
        state, kind = self.state, self.state.kind
        if kind == "pending":
            place = f"place {self.place.place:,} of {self.place.of:,}" if self.place else ""
            starts = f"starts about {time_text(state.expected_start, now)}" if state.expected_start else ""
            first = ", ".join(filter(None, [place, starts]))
            return ": ".join(filter(None, [first, _clause(state.message)])) or "waits"
        if kind == "running":
            waits = f"waits: {_clause(state.waits_for)}" if state.waits_for else ""
            starting = "starting" if state.attempt_start is None and not waits else ""
            return "; ".join(filter(None, [waits or starting, _clause(state.message)]))
        if kind == "completed":
            metric = self.progress.metric
            return f"{metric[0]} {metric_text(metric[1])}" if metric else ""
        why = state.decision_reason if state.action == "stop" and state.decision_reason else state.message
        return ": ".join(filter(None, [state.cause if kind == "failed" else None, _clause(why)]))

    def words(self) -> str:
        """What a filter looks at."""
        state = self.state
        words = (self.name, state.kind, state.job_id, state.launcher, *state.nodes, state.reason, state.cause)
        return " ".join(word for word in words if word).lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """Which runs are shown, and in which order."""

    words: str = ""
    """A run is shown if it has all of them."""
    sort: SortKey = "state"
    reverse: bool = False
    active_only: bool = False

    def next_sort(self) -> Arrangement:
        return replace(self, sort=SORT_KEYS[(SORT_KEYS.index(self.sort) + 1) % len(SORT_KEYS)], reverse=False)


def arranged(rows: Sequence[RunRow], arrangement: Arrangement, now: float) -> list[RunRow]:
    """The rows that are shown, in their order. What is not known comes last, also in reverse."""
    wanted = arrangement.words.lower().split()
    shown = [
        row
        for row in rows
        if (row.state.is_active or not arrangement.active_only) and all(word in row.words() for word in wanted)
    ]
    keyed = [(key, row) for row in shown if (key := _key(row, arrangement.sort, now))]
    unknown = [row for row in shown if _key(row, arrangement.sort, now) is None]
    return [*(row for _, row in sorted(keyed, key=lambda pair: pair[0], reverse=arrangement.reverse)), *unknown]


def _key(row: RunRow, sort: SortKey, now: float) -> tuple[float, float, float, str] | None:
    """What a row is sorted by, so that what is looked for comes first; None if it is not known."""
    state, since = row.state, row.state.since or 0.0
    value: float | None = 0.0
    match sort:
        case "state":
            rank = ORDER.index(state.kind) if state.kind in ORDER else len(ORDER)
            return (rank, row.place.place if row.place else math.inf, -since, row.name)
        case "progress":
            value = None if row.progress.share is None else -row.progress.share
        case "left":
            value = row.seconds_left(now)
        case "loss":
            value = row.progress.loss
        case "since":
            value = -since if since else None
    return None if value is None or math.isnan(value) else (value, 0.0, 0.0, row.name)


def counts_text(rows: Sequence[RunRow]) -> str:
    """``3 running on 6 GPUs, 2 pending, 995 ended``."""
    kinds: Mapping[str, list[RunRow]] = {kind: [row for row in rows if row.state.kind == kind] for kind in ORDER}
    gpus = sum(row.state.gpus or 0 for row in kinds["running"])
    running, pending = len(kinds["running"]), len(kinds["pending"])
    parts = [
        f"{running:,} running" + (f" on {count_text(gpus, 'GPU')}" if gpus else "") if running else "",
        f"{pending:,} pending" if pending else "",
        f"{len(rows) - running - pending:,} ended" if len(rows) > running + pending else "",
    ]
    return ", ".join(filter(None, parts))


def metric_text(value: float) -> str:
    """Four digits that tell something."""
    return format(value, ".4g")


def _clause(sentence: str | None) -> str:
    return " ".join((sentence or "").split()).rstrip(".")
