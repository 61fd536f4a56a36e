"""Whether idle GPUs go on, are warned of, or are taken away: rules for runs and interactive sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from passingloop.rundir.samples import NodeSamples
from passingloop.vitals.standstill import StillClock

BUSY_SHARE = 0.03
"""The share of the time in which something runs on a GPU, from which on it counts as busy."""

LEAST_NOTICE = 60.0
"""Seconds from the last warning to the end at least, also where the limits are closer together or a node slept."""

Judgement = Literal["go on", "warn", "end"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleRule:
    """Seconds of idleness after which somebody is warned, and after which it is ended."""

    warnings: tuple[float, ...] = ()
    """In ascending order."""
    end: float | None = None
    """None never ends anything."""
    notice: float = LEAST_NOTICE
    """Seconds from the last warning to the end at least."""

    def judge(self, idle: float, warned: int, since_warning: float) -> Judgement:
        """What is to be done.

        Args:
            idle: seconds of idleness until now.
            warned: how many of `warnings` are behind us since it was last in use, also those that one warning stood
                for.
            since_warning: seconds since the last warning.
        """
        if self.due(idle) > warned:
            return "warn"
        if self.end is None or idle < self.end or (self.warnings and not warned):
            return "go on"
        return "end" if not warned or since_warning >= self.notice else "go on"

    @property
    def shortest(self) -> float | None:
        """The shortest time after which anything is done; None if nothing ever is."""
        return min([*self.warnings, *([self.end] if self.end is not None else [])], default=None)

    def due(self, idle: float) -> int:
        """How many of `warnings` are due. Of several at once only one is given."""
        return sum(idle >= warning for warning in self.warnings)

    def left(self, idle: float) -> float | None:
        """Seconds until the end, where a warning is given now; None if it is not ended."""
        return None if self.end is None else max(self.end - idle, self.notice)


NEVER = IdleRule()
"""Nobody is warned, and nothing ended."""


@dataclass(slots=True)
class IdleWatch:
    """Judges one look after another at GPUs by `rule`.

    Times in which nobody looked do not count, but for `longest_gap` seconds.
    """

    rule: IdleRule
    longest_gap: float
    idle: float = 0.0
    """Seconds of idleness until the last look."""
    _clock: StillClock = field(init=False)
    _warned: int = 0
    _warned_at: float = 0.0

    def __post_init__(self) -> None:
        self._clock = StillClock(self.longest_gap)

    def judge(self, now: float, share: float | None) -> Judgement:
        """What is to be done at the time `now`, at which the busiest GPU works for `share` of the time.

        What is not known (None) is not idle.
        """
        is_idle = share is not None and share < BUSY_SHARE
        seconds = self._clock.look(now, is_idle)
        self.idle = seconds if is_idle else 0.0
        if not is_idle:
            self._warned = 0
        judgement = self.rule.judge(self.idle, self._warned, now - self._warned_at)
        if judgement == "warn":
            self._warned, self._warned_at = self.rule.due(self.idle), now
        return judgement


@dataclass(frozen=True, slots=True)
class GpuIdleLimits:
    """Minutes for which GPUs may compute nothing, as a user or a site sets them."""

    warnings: tuple[float, ...]
    ends: bool
    """Whether it is asked for that they are taken away."""
    end: float


def gpu_rule(user: GpuIdleLimits, site: GpuIdleLimits) -> IdleRule:
    """The rule for GPUs: they are taken away if the user or the site asks for it, after the shorter time.

    The warnings are the user's; where the site takes GPUs away, its warnings come as well.
    """
    ends = [60 * limits.end for limits in (user, site) if limits.ends]
    warnings = {60 * minutes for limits in ([user, site] if site.ends else [user]) for minutes in limits.warnings}
    end = min(ends, default=None)
    return IdleRule(warnings=tuple(sorted(w for w in warnings if end is None or w < end)), end=end)


def busiest_share(nodes: Sequence[NodeSamples], gpus: int, seen: Mapping[str, float]) -> float | None:
    """The share of the time in which the busiest of an attempt's GPUs worked, in any of the samples after `seen`.

    None if that is not known, for one of them at least: there is no driver, or the samples are missing or have ceased.

    Args:
        gpus: how many there are, on all nodes.
        seen: the time of the newest sample that was looked at before, by node.
    """
    shares: list[float] = []
    figures = 0
    for node in nodes:
        new = [sample for sample in node.samples if sample.time > seen.get(node.node, 0.0)]
        by_gpu = zip(*(sample.gpus for sample in new), strict=False)
        known = [[gpu.busy for gpu in samples if gpu.busy is not None] for samples in by_gpu]
        figures += sum(bool(busy) for busy in known)
        shares += [share for busy in known for share in busy]
    return max(shares) if shares and figures >= gpus else None
