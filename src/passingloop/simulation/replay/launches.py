"""How much longer than they compute the jobs of a replay hold their nodes, while it goes on."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

ENOUGH = 100
"""Jobs that have to have ended before anything can be said."""


@dataclass(kw_only=True)
class Launches:
    """Launches and ends of jobs that ran in one piece. Jobs are Slurm's ids, times are seconds of the trace."""

    _allocated: dict[int, float] = field(default_factory=dict)
    _computed: dict[int, float] = field(default_factory=dict)
    _held: dict[int, float] = field(default_factory=dict)
    """Of jobs whose end was seen before their report: they come to us in two ways."""
    _beyond: list[float] = field(default_factory=list)

    def allocated(self, job: int, at: float) -> None:
        """A job got its nodes, perhaps not for the first time."""
        self._allocated[job] = at
        self._held.pop(job, None)

    def computed(self, job: int, seconds: float) -> None:
        """It has computed for so long, in one piece, and is about to give them back."""
        if job in self._held:
            self._beyond.append(self._held.pop(job) - seconds)
        else:
            self._computed[job] = seconds

    def over(self, job: int, at: float) -> None:
        """It has given them back; one that did not compute to its end says nothing."""
        since, seconds = self._allocated.pop(job, None), self._computed.pop(job, None)
        if since is None:
            return
        if seconds is None:
            self._held[job] = at - since
        else:
            self._beyond.append(at - since - seconds)

    @property
    def median(self) -> float | None:
        """How long a launch and an end take together; None if too few jobs have ended."""
        return statistics.median(self._beyond) if len(self._beyond) >= ENOUGH else None
