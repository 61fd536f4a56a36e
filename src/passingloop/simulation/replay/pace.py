"""How fast the time goes in a replay: fast while nothing happens, slow while Slurm works.

What Slurm does takes it as long as on a real cluster, or longer on a busy machine, however fast the clocks are. At a
hundred times the speed a launch of 0.1 s would be ten seconds of the trace, and a backlog of a busy minute an hour. So
the time goes slowly while something is under way: a submission, a launch, the end of a job; and less slowly for a
moment after each, in which Slurm decides what comes next. How slowly follows from how long these take on this machine
at this moment: each is to be `LAUNCH_S` of the trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from passingloop.simulation.replay.private_cluster import Clock

LAUNCH_S = 1.0
"""Of the trace."""
FIRST_GUESS_S = 0.2
"""Of the machine's time, that something takes which is under way."""
NEWEST = 0.1
"""The part that the newest has in the average."""
AFTERWARDS = 4.0
"""How much faster it goes while Slurm decides."""
SETTLE_S = 0.05
"""Of the machine's time, so long after something happened; longer on a machine on which all takes longer."""
PREEMPTION = 4.0
"""How many such moments it takes from a submission until a job that gives way says so."""
PATIENCE_S = 20.0
"""Of the machine's time, after which what is under way is waited for no longer."""


@dataclass(kw_only=True)
class Pace:
    """Sets the clock. Times without a unit are the machine's, in seconds."""

    clock: Clock
    factor: float
    """The fastest."""
    _under_way: dict[object, float] = field(default_factory=dict)
    """Since when each is, the oldest first."""
    _over_early: set[object] = field(default_factory=set)
    """Of which the end was seen before the beginning: they come to us in two ways."""
    _usual: float = FIRST_GUESS_S
    _quiet: float = 0.0
    _set: tuple[float, float | None, float] = (1.0, None, 1.0)

    def begin(self, what: object, now: float) -> None:
        """Something is under way, until it is over."""
        if what in self._over_early:
            self._over_early.discard(what)
        else:
            self._under_way.setdefault(what, now)
        self.happened(now)

    def over(self, what: object, now: float) -> None:
        since = self._under_way.pop(what, None)
        if since is None:
            self._over_early.add(what)
        else:
            self._usual += NEWEST * (now - since - self._usual)
        self.happened(now)

    def happened(self, now: float, times: float = 1.0) -> None:
        """Slurm decides what comes next, for `times` as long as such things usually take."""
        self._quiet = now + max(SETTLE_S, times * self._usual)

    def adjust(self, now: float, next_at: float) -> None:
        """Set the clock; `next_at`: the time of the cluster at which something will happen that is known by now."""
        for what in [what for what, since in self._under_way.items() if now - since > PATIENCE_S]:
            del self._under_way[what]
        slow = self.slow_rate(now)
        afterwards = min(slow * AFTERWARDS, self.factor)
        if self._under_way:
            wanted: tuple[float, float | None, float] = (slow, None, slow)
        elif now < self._quiet:
            wanted = (afterwards, None, afterwards)
        else:
            wanted = (self.factor, next_at, afterwards)
        if wanted != self._set:
            self._set = wanted
            self.clock.go(*wanted)

    def slow_rate(self, now: float) -> float:
        """A power of two, so that it does not change all the time."""
        oldest = now - next(iter(self._under_way.values()), now)
        rate = LAUNCH_S / max(self._usual, oldest, 1e-3)
        return min(max(1.0, 2.0 ** math.floor(math.log2(rate))), self.factor)
