"""How long to train between two saves: ``checkpoint.every=auto``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from passingloop.rundir.events import End, Start
from passingloop.rundir.ledger import Ledger

UNTIL_KNOWN = 10.0
"""Seconds of training before the first save of an attempt. That save measures how long saving takes."""

LONGEST = 900.0
"""Seconds. Longer intervals gain little, and a failure of a new kind would lose too much."""

WRITING = 0.1
"""Largest share of the time in which a save is being written: it uses CPU and file server that others need."""

ASSUMED = 8 * 3600.0
"""Seconds between two interruptions, assumed before any has been seen."""

WEIGHT = 0.05
"""How much the assumption counts, in interruptions. Little: saving too often wastes less than saving too seldom."""

SAVED = ("completed", "paused", "preempted", "requeued", "timeout", "cancelled", "interrupted", "idle")
"""Causes of an end that lose nothing: the attempt saved before it ended."""


@dataclass(frozen=True, slots=True)
class History:
    """How long earlier attempts at the run trained, and how often they were interrupted without saving."""

    trained: float
    """Seconds of training."""
    cuts: int
    """Attempts that ended without having saved."""

    @classmethod
    def from_ledger(cls, ledger: Ledger, attempt: int) -> History:
        """From the ledger, before `attempt`. An attempt with a start and no end was killed."""
        started = sum(start.attempt < attempt for start in ledger.events_of(Start))
        ends = [end for end in ledger.events_of(End) if end.attempt < attempt]
        saved = sum(end.cause in SAVED and not end.seconds.lost for end in ends)
        return cls(sum(end.seconds.training for end in ends), started - saved)


def interval(stall: float, writing: float, history: History, trained: float) -> float:
    """Seconds of training between two saves.

    Young's optimum is sqrt(2 · cost · mean time between failures): J. W. Young, "A first order approximation to the
    optimum checkpoint interval", CACM 17(9), 1974; J. T. Daly's terms of higher order (FGCS 22, 2006) matter only
    where a save takes a good part of the time between failures. The cost is what a save takes from training.

    Args:
        stall: seconds for which a save holds up training.
        writing: seconds that writing takes while training goes on.
        trained: seconds of training in this attempt so far.
    """
    between_cuts = (history.trained + trained + WEIGHT * ASSUMED) / (history.cuts + WEIGHT)
    return min(LONGEST, max(math.sqrt(2 * stall * between_cuts), writing / WRITING))
