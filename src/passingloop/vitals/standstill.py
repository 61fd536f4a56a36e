"""Whether an attempt has stopped going forward, for how long, and which process stands behind. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from passingloop.figures import span
from passingloop.text import list_excerpt
from passingloop.vitals.beats import Beat

STOPPED = "T"
"""The state of a process that SIGSTOP has stopped; proc(5)."""

UNINTERRUPTIBLE = "D"

NAMED_RANKS = 4
"""Processes that a sentence names; of the others it has the count."""

STATES: Mapping[str, str] = {
    STOPPED: "is stopped (SIGSTOP)",
    UNINTERRUPTIBLE: "waits in the kernel, for a disk, a file server or a driver",
}


@dataclass(slots=True)
class StillClock:
    """How long something has not changed, between looks at it.

    Times in which nobody looked do not count, but for `longest_gap` seconds: then the supervisor itself was stopped, or
    the machine slept, and the processes with it.
    """

    longest_gap: float
    seconds: float = 0.0
    _looked: float | None = None
    _seen: Hashable = None

    def look(self, now: float, seen: Hashable) -> float:
        """Take what is seen at the time `now`. Returns for how many seconds it has been the same."""
        passed = 0.0 if self._looked is None else min(now - self._looked, self.longest_gap)
        self.seconds = self.seconds + passed if seen == self._seen and self._looked is not None else 0.0
        self._looked, self._seen = now, seen
        return self.seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Standstill:
    """The processes of an attempt that does not go forward."""

    size: int
    """How many processes there are, ranks 0 to `size` - 1."""
    seconds: float
    """For how long nothing has gone forward."""
    beats: Mapping[int, Beat]
    """The last of each process that has begun."""
    silent: Sequence[int] = ()
    """Those whose beats have ceased: something holds Python's lock in them, or they are stopped or gone."""
    states: Mapping[int, str] = field(default_factory=dict)
    """The states of processes by proc(5), where they are known."""

    @property
    def behind(self) -> list[int]:
        """The processes that stand behind the others; all of them if nothing tells them apart."""
        missing = [rank for rank in range(self.size) if rank not in self.beats]
        if missing:
            return missing
        if self.silent:
            return list(self.silent)
        least = min(beat.place for beat in self.beats.values())
        return [rank for rank, beat in sorted(self.beats.items()) if beat.place == least]

    @property
    def rank(self) -> int | None:
        """The process that stands behind; None if nothing tells the processes apart."""
        behind = self.behind
        return behind[0] if self.size == 1 or len(behind) < self.size else None

    @property
    def sentence(self) -> str:
        """What stands still, since when and where."""
        return f"No progress for {span(self.seconds)}: {self._who()}."

    def _who(self) -> str:
        if self.rank is None:
            return f"all {self.size} processes stand {self._where(0)}, and none behind the others"
        if self.rank not in self.beats:
            return f"of {self.size} processes {_named(self.behind)} never began"
        beat = self.beats[self.rank]
        clauses = [f"{_named(self.behind)} on {beat.node} (process {beat.process}) stands {self._where(self.rank)}"]
        if state := self._state(self.rank):
            clauses.append(f"it {state}")
        if others := [rank for rank in self.beats if rank not in self.behind]:
            named = _named(others) if len(others) == 1 else f"the other {len(others)} of {self.size}"
            clauses.append(f"{named} stood {self._where(others[0])}")
        return "; ".join(clauses)

    def _state(self, rank: int) -> str:
        """What is known of a process besides its beats."""
        ceased = "runs no Python any more, as if something held its lock" if rank in self.silent else ""
        return STATES.get(self.states.get(rank, ""), ceased)

    def _where(self, rank: int) -> str:
        beat = self.beats[rank]
        return f"at step {beat.step}, {beat.doing}" if beat.step else f"before the first step, {beat.doing}"


def _named(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {list_excerpt(ranks, NAMED_RANKS)}"
