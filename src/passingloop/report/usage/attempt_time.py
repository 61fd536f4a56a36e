"""How the time of a run's attempts divides an allocation. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from passingloop.report.usage.allocation_use import USES, Use

STOPPED = ("completed", "paused", "preempted", "requeued", "timeout", "interrupted", "cancelled", "idle")
"""Causes of an attempt that was stopped, or done: it did not fail."""

SLACK = 60.0
"""Seconds by which the clocks of a node and of slurmctld may differ before times are shifted."""

Span = tuple[float, float]
"""From one time to another, in seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptTime:
    """An attempt, as the run directory tells of it."""

    run: str
    experiment: str
    attempt: int
    started: float
    ended: float
    is_running: bool = False
    cause: str | None = None
    job_id: str | None = None
    is_submitted: bool = True
    """False of an attempt in a shell, perhaps inside an allocation."""
    starting: float = 0.0
    """Seconds, as in the ledger; so are the next three."""
    training: float = 0.0
    saving: float = 0.0
    lost: float = 0.0
    evaluating: float | None = None
    """A part of `training`, as the next one; None if the ledger does not say."""
    data_wait: float | None = None
    waits: tuple[Span, ...] = ()
    """When its job waited before it, for a step or the lock."""
    sampled: float = 0.0
    """Seconds that samples cover, with the mean share of busy time and the mean watts of a GPU in them."""
    busy: float | None = None
    power: float | None = None
    gpu_type: str | None = None
    """As the driver names it."""

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def has_failed(self) -> bool:
        return self.cause is not None and self.cause not in STOPPED

    @property
    def still(self) -> float:
        """Of an attempt that failed, the seconds that the ledger does not name: its processes hung, or died unseen."""
        named = self.starting + self.training + self.saving
        return max(0.0, self.seconds - named) if self.has_failed else 0.0

    def pieces(self) -> list[tuple[Use, float]]:
        """Its time in order: uses with their seconds, which add up to `seconds`.

        `training` and `saving` alternate in truth. What the ledger does not name goes to `starting` (the start and the
        end of processes), but of an attempt that failed to what is lost: its processes hung, or died unseen; and of
        one that runs and has trained to `training`: the step that it is in has not been told of yet. If the ledger
        names more than there is, as the clock was set or the attempt is still running, all is scaled.
        """
        lost: Use = "lost_to_failure" if self.has_failed else "lost_to_preemption"
        named: list[tuple[Use, float]] = [
            ("starting", self.starting),
            ("training", max(0.0, self.training - self.lost)),
            ("saving", self.saving),
            (lost, min(self.lost, self.training)),
        ]
        total = sum(seconds for _, seconds in named)
        if total > self.seconds:
            return [(use, seconds * self.seconds / total) for use, seconds in named]
        rest: Use = lost if self.has_failed else "training" if self.is_running and self.training else "starting"
        return [*named, (rest, self.seconds - total)]

    def within(self, span: Span) -> dict[Use, float]:
        """The seconds by use of the part of it that lies in `span`."""
        uses: dict[Use, float] = {}
        at = self.started
        for use, seconds in self.pieces():
            uses[use] = uses.get(use, 0.0) + overlap((at, at + seconds), span)
            at += seconds
        return uses

    def fitted(self, span: Span) -> AttemptTime:
        """The same attempt within `span`, the time of its allocation.

        An attempt that does not fit there was recorded by a clock that differs from Slurm's, and is moved. If it is too
        long as well, its end was not written when it happened, but by the next attempt, and is cut off.
        """
        first, last = span
        begins_inside = first - SLACK <= self.started <= last + SLACK
        if begins_inside and (self.ended <= last + SLACK or self.seconds > last - first + SLACK):
            started = min(max(first, self.started), last)
            return replace(self, started=started, ended=max(started, min(last, self.ended)))
        started = max(first, min(self.started, last - self.seconds))
        return replace(self, started=started, ended=min(last, started + self.seconds), waits=())


@dataclass(slots=True)
class RunTime:
    """What one run had of an allocation."""

    experiment: str
    active: dict[Use, float] = field(default_factory=dict)
    """Seconds by use, of its attempts."""
    sampled: float = 0.0
    busy: float = 0.0
    """Seconds times share, over `busy_seconds`; likewise watts."""
    busy_seconds: float = 0.0
    watts: float = 0.0
    watt_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(self.active.values())


def overlap(a: Span, b: Span) -> float:
    """The length of what two spans share."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def united(spans: Iterable[Span]) -> list[Span]:
    """The same time as spans that do not overlap, oldest first."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def gaps(span: Span, taken: Sequence[Span]) -> list[Span]:
    """What `taken`, which is as `united` returns it, leaves of `span`."""
    left, at = [], span[0]
    for start, end in taken:
        if start > at:
            left.append((at, min(start, span[1])))
        at = max(at, end)
    if at < span[1]:
        left.append((at, span[1]))
    return [each for each in left if each[1] > each[0]]


def total_length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


def uses_outside(whole: Span, attempts: Sequence[AttemptTime], window: Span) -> dict[Use, float]:
    """The seconds of the allocation `whole` within `window` in which none of its attempts ran.

    Before the first one the job starts, unless it is known to wait; after that it holds its GPUs. Around attempts in a
    shell the time is its user's, and unexplained.
    """
    active = united((attempt.started, attempt.ended) for attempt in attempts)
    idle = [(max(start, window[0]), min(end, window[1])) for start, end in gaps(whole, active)]
    idle = [(start, end) for start, end in idle if end > start]
    if not any(attempt.is_submitted for attempt in attempts):
        return {"unexplained": total_length(idle)}
    waits = united(wait for attempt in attempts for wait in attempt.waits)
    first = active[0][0]
    before = [(start, end) for start, end in idle if end <= first]
    waited = sum(overlap(gap, wait) for gap in before for wait in waits)
    return {
        "starting": total_length(before) - waited,
        "holding": total_length(idle) - total_length(before) + waited,
    }


def divided(whole: Span, attempts: Sequence[AttemptTime], window: Span) -> dict[str, RunTime]:
    """For each run what its attempts had of the allocation `whole` within `window`.

    The seconds of all runs together are the time in `window` in which any attempt ran, and the rest of it is shared out
    among the runs in proportion: so they add up to the allocation's time.

    Args:
        attempts: of this allocation, already `fitted` into it; at least one.
    """
    runs: dict[str, RunTime] = {}
    for attempt in attempts:
        own = runs.setdefault(attempt.run, RunTime(attempt.experiment))
        seconds = overlap((attempt.started, attempt.ended), window)
        for use, spent in attempt.within(window).items():
            own.active[use] = own.active.get(use, 0.0) + spent
        sampled = min(seconds, attempt.sampled * seconds / attempt.seconds if attempt.seconds else 0.0)
        own.sampled += sampled
        if attempt.busy is not None:
            own.busy += attempt.busy * sampled
            own.busy_seconds += sampled
        if attempt.power is not None:
            own.watts += attempt.power * sampled
            own.watt_seconds += sampled
    spans = [(max(a.started, window[0]), min(a.ended, window[1])) for a in attempts]
    together = total_length(united(span for span in spans if span[1] > span[0]))
    total = sum(own.seconds for own in runs.values())
    outside = uses_outside(whole, attempts, window)
    for own in runs.values():
        weight = own.seconds / total if total else 1 / len(runs)
        scale = together / total if total else 0.0
        own.active = {use: own.active.get(use, 0.0) * scale + outside.get(use, 0.0) * weight for use in USES}
        own.sampled *= scale
    return runs
