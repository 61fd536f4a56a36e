"""How fast the time goes in a replay: fast while nothing happens, slow while Slurm works.

What Slurm does takes it as long as on a real cluster, or longer on a busy machine, however fast the clocks are. At a
hundred times the speed a launch of 0.1 s would be ten seconds of the trace, and a backlog of a busy minute an hour. So
the time goes slowly while something is under way: a submission, a launch, the end of a job, and a moment after each,
in which Slurm decides what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from passingloop.simulation.private_cluster import Clock

SLOW = 2.0
"""While something is under way."""
MODERATE = 10.0
"""While Slurm may be deciding what comes next."""
SETTLE_S = 0.05
"""Of the machine's time: so long after something happened."""
PATIENCE_S = 20.0
"""Of the machine's time, after which what is under way is waited for no longer."""


@dataclass(kw_only=True)
class Pace:
    """Sets the clock. Times without a unit are the machine's, in seconds."""

    clock: Clock
    factor: float
    """The fastest."""
    _under_way: dict[object, float] = field(default_factory=dict)
    _over_early: set[object] = field(default_factory=set)
    """Of which the end was seen before the beginning: they come to us in two ways."""
    _quiet: float = 0.0
    _set: tuple[float, float | None] = (1.0, None)

    def begin(self, what: object, now: float) -> None:
        """Something is under way, until it is over."""
        if what in self._over_early:
            self._over_early.discard(what)
        else:
            self._under_way.setdefault(what, now)
        self.happened(now)

    def over(self, what: object, now: float) -> None:
        if self._under_way.pop(what, None) is None:
            self._over_early.add(what)
        self.happened(now)

    def happened(self, now: float) -> None:
        self._quiet = now + SETTLE_S

    def adjust(self, now: float, next_at: float) -> None:
        """Set the clock; `next_at`: the time of the cluster at which something will happen that is known by now."""
        for what in [what for what, since in self._under_way.items() if now - since > PATIENCE_S]:
            del self._under_way[what]
        moderate, slow = min(MODERATE, self.factor), min(SLOW, self.factor)
        if self._under_way:
            wanted: tuple[float, float | None] = (slow, None)
        elif now < self._quiet:
            wanted = (moderate, None)
        else:
            wanted = (self.factor, next_at)
        if wanted != self._set:
            self._set = wanted
            self.clock.go(wanted[0], wanted[1], moderate)
