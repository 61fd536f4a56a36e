"""What a policy did with a trace: the types of all figures. Times are seconds of the trace unless they say hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from passingloop.report.usage.content import PriceNote
from passingloop.report.usage.usage_figures import Money, PriceKind

SOON = (60.0, 600.0, 3600.0)
"""Waits of which it is said how many jobs had no longer one."""

By = Literal["qos", "account", "size"]

SavingName = Literal["save_s", "restart_s", "save_every_s"]
"""As ``passingloop drill --json`` names what it has measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """A wait. One that had not ended when the replay did is known only to be at least this long."""

    seconds: float
    has_ended: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """How long jobs waited from when they could run until they first did. One of a percentile is a wait that there was:
    the shortest that this part of the jobs did not exceed."""

    median: Wait
    p95: Wait
    p99: Wait
    soon: tuple[float, ...]
    """The share of the jobs that had started within each of `SOON`."""
    curve: tuple[tuple[float, float], ...]
    """Waits and the share of the jobs that had started within them, from shorter to longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFigures:
    """Of all jobs, or of those of a group."""

    name: str
    jobs: int
    gpu_hours: float
    """For which they held GPUs."""
    lost_gpu_hours: float
    """Of these: what was computed in vain because of preemption, restarts included."""
    preemptions: int
    never_started: int
    """Jobs that had not started at the end, though nobody had cancelled them."""
    cancelled: int
    """Jobs that were cancelled before they started; their waits do not count."""
    waits: Waits | None
    """None if all jobs were cancelled before they started."""

    @property
    def lost_share(self) -> float | None:
        """Of the GPU-hours."""
        return self.lost_gpu_hours / self.gpu_hours if self.gpu_hours else None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountShare:
    """What an account got of its share.

    An account asks for its share while its jobs, those that run and those that wait, are for as many GPUs as the share
    gives it or more. Only that time counts: who asks for less is not treated unfairly.
    """

    account: str
    configured: float
    """Its part of the cluster by the shares of the policy, among the accounts of the trace."""
    used: float | None
    """Its part of all GPU-hours that jobs held. None if none were."""
    asked: float
    """The part of the time in which it asked for its share."""
    got: float | None
    """GPUs that it held in that time, by those of its share; more than 1 where others left theirs. None if it never
    asked for its share."""
    counts: bool
    """Whether it asked long enough for `got` to mean something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeverStarted:
    """Jobs that had not started at the end, by Slurm's reason."""

    reason: str
    jobs: int
    gpu_hours: float
    """That they would have computed."""
    longest_wait: float


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldGpus:
    """Means over spans of the trace, all as long."""

    seconds: float
    starts: tuple[float, ...]
    by_qos: Mapping[str, tuple[float, ...]]
    """GPUs that jobs held."""
    waiting: tuple[float, ...]
    """GPUs that waiting jobs asked for, preempted ones included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What GPU-hours cost, by kind of price: those of the jobs, what was lost to preemption, and what stood idle."""

    note: PriceNote
    held: Mapping[PriceKind, Money]
    lost: Mapping[PriceKind, Money]
    idle: Mapping[PriceKind, Money]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFigures:
    """What one policy did with a trace."""

    policy: str
    gpus: int
    length: float
    factor: float
    """How much faster time went by than in the trace."""
    overhead: float
    """The time to launch a job, as a share of the median job."""
    load: float
    """GPU-time that the jobs asked for, by that of the cluster."""
    utilisation: float
    """The part of the cluster's GPU-time for which jobs held GPUs."""
    totals: JobFigures
    groups: Mapping[By, tuple[JobFigures, ...]]
    held: HeldGpus
    shares: tuple[AccountShare, ...]
    jain: float | None
    """Jain's index over the accounts that asked for their share: 1 if all got the same part of it, 1/n if one of n got
    all. None if fewer than two asked. What an account got beyond its share does not count."""
    never_started: tuple[NeverStarted, ...]
    cost: Cost | None = None

    def group(self, by: By, name: str) -> JobFigures | None:
        """The figures of a group, if it had jobs."""
        return next((one for one in self.groups[by] if one.name == name), None)

    def share(self, account: str) -> AccountShare | None:
        """What an account got, if it had jobs."""
        return next((one for one in self.shares if one.account == account), None)

    @property
    def lowest_share(self) -> float | None:
        """What the account got that got least, of those that asked for their share; no more than 1."""
        return min((min(one.got, 1.0) for one in self.shares if one.counts and one.got is not None), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What became of one objective."""

    objective: str
    """As the file has it: ``interactive.wait_p95: 60s``."""
    place: str
    """``FILE:LINE`` of it."""
    found: str
    """The figure in words; empty if there was none."""
    is_met: bool | None
    """None if it could not be judged."""
    wanted: str = ""
    """``at most 1 min``; empty if that is not known."""
    missed_by: str = ""
    """Empty if it was met, or if it is not known."""
    why: str = ""
    """Why it could not be judged."""

    @property
    def sentence(self) -> str:
        """What was missed and by how much, or why it could not be judged; empty if it was met."""
        match self.is_met:
            case None:
                return f"{self.place}: {self.objective} is not judged: {self.why}."
            case False:
                by = f", missed by {self.missed_by}" if self.missed_by else ""
                return f"{self.place}: {self.objective} is missed: it is {self.found}, not {self.wanted}{by}."
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavingFigure:
    """One figure of how the jobs of the replays saved and continued."""

    name: SavingName
    seconds: float
    source: str
    """The option that gave it, the file of the drill that measured it, or ``assumed``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """A policy tried on a trace, beside another one if that was tried as well."""

    trace: str
    left_out: tuple[str, ...]
    """Sentences on what was not replayed as it stands in the trace and in the policies."""
    figures: PolicyFigures
    against: PolicyFigures | None = None
    judgements: tuple[Judgement, ...] = field(default=())
    saving: tuple[SavingFigure, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether no objective was missed."""
        return all(judgement.is_met is not False for judgement in self.judgements)
