"""What is answered to the question why a job waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from passingloop.slurm.waiting.ceilings import Ceiling

Category = Literal[
    "limit",
    "request",
    "resources",
    "priority",
    "dependency",
    "time",
    "held",
    "reservation",
    "licence",
    "nodes",
    "permission",
    "array",
    "system",
    "unseen",
    "unknown",
    "running",
    "ended",
]
"""`limit`: others' or one's own jobs use up what a QOS or account gives; `request`: it asks for what it can never get;
`unseen`: the scheduler has not looked at it yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The limit that stands in the way."""

    ceiling: Ceiling
    asked: float
    """What the job would add, in the unit of the limit."""
    exceeded: bool
    """Whether the use that is known, and what the job asks for, are over the limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A job that has what is waited for. `amount` is in the unit of the limit, or of the answer."""

    job_id: str
    user: str
    account: str
    amount: float
    ends: float | None
    """At the latest, in seconds since the epoch; None without a time limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What frees it first."""

    what: str
    """As a sentence without its full stop."""
    at: float | None = None
    """When that happens at the latest."""
    enough_at: float | None = None
    """When enough is free at the latest, if no other job takes it; None if that is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """The place in the queue of its partitions. Jobs that are held, or wait for a time or another job, are left out."""

    place: int
    of: int
    gpus_ahead: float
    limited_ahead: int
    """Of the jobs ahead, those that a limit of their own keeps from starting."""
    own_ahead: int
    """Of the jobs ahead, those of the same user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorityPart:
    """A part of the priority, against that of the jobs ahead."""

    name: str
    own: int
    first: int | None
    """Of the first job in the queue; None if no job is ahead."""
    median: int | None
    """Of the jobs ahead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something that may start the job sooner; whether it does is for Slurm to say."""

    what: str
    """As a few words: ``QOS interactive instead of production``."""
    setting: str
    """As a setting of passingloop: ``cluster.qos=interactive``."""
    options: Mapping[str, str]
    """The options of sbatch that differ."""
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What Slurm says of a change."""

    change: Change
    start: float | None = None
    """Its estimate, in seconds since the epoch."""
    refusal: str | None = None
    """Why it would not take the job then."""


SOON = 60.0
"""Seconds by which a start has to differ to count as sooner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Why a job waits. Times are in seconds since the epoch."""

    job_id: str
    category: Category
    reason: str
    """Slurm's reason code."""
    summary: str
    """As sentences."""
    never: bool = False
    """Whether it does not start unless somebody changes something."""
    remedy: str | None = None
    """What its owner can do, as a sentence."""
    limit: Limit | None = None
    holders: tuple[Holder, ...] = ()
    unit: str = "gres/gpu"
    """In what `amount` of the holders is, without a limit: gres/gpu, cpu or licences."""
    hidden: float = 0.0
    """What jobs hold that are not shown, in the unit of the limit."""
    release: Release | None = None
    facts: tuple[str, ...] = ()
    """What else was found, as sentences."""
    rank: Rank | None = None
    parts: tuple[PriorityPart, ...] = ()
    expected_start: float | None = None
    """Slurm's estimate."""
    unchanged_start: float | None = None
    """Slurm's estimate for the same request, if it were submitted now; None if Slurm was not asked."""
    trials: tuple[Trial, ...] = ()
    unknown: tuple[str, ...] = ()
    """What the evidence does not say, as sentences."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What Slurm shows of the job; only where it does not suffice."""

    @property
    def sooner(self) -> list[Trial]:
        """The changes by which, as Slurm estimates, it starts sooner; the soonest first."""
        otherwise = self.expected_start or self.unchanged_start or inf
        if self.category == "limit":  # Slurm's estimates leave out the limits on use
            otherwise = max(otherwise, self.release.enough_at or inf) if self.release else inf
        starting = [trial for trial in self.trials if trial.start and trial.start < otherwise - SOON]
        return sorted(starting, key=lambda trial: trial.start or inf)
