"""How long to train between two saves: ``checkpoint.every=auto``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from passingloop.rundir.ledger import End, Ledger, Start

UNTIL_KNOWN = 10.0
"""Seconds to the first save of an attempt, which tells how long one takes."""

LONGEST = 900.0
"""Seconds. Longer pays little, and who is cut off for another reason than ever before would lose too much."""

WRITING = 0.1
"""Share of the time in which a save may be on its way to the disk: it takes CPU and file server from others."""

ASSUMED = 8 * 3600.0
"""Seconds between two cuts before any is known."""

WEIGHT = 0.05
"""Of a cut: what has been seen soon counts for more than what was assumed, as one who saves too often wastes less than
one who saves too seldom."""

SAVED = ("completed", "preempted", "timeout", "cancelled", "interrupted")
"""Causes of an end that lose nothing, as the last thing the attempt did was to save."""


@dataclass(frozen=True, slots=True)
class History:
    """What earlier attempts at the run tell."""

    trained: float
    """Seconds of training."""
    cuts: int
    """How often an attempt ended without having saved."""

    @classmethod
    def of(cls, ledger: Ledger, attempt: int) -> History:
        """From the ledger, before `attempt`. One that was begun and has no end was cut off."""
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
        writing: seconds it then takes to write beside it.
        trained: seconds of training in this attempt so far.
    """
    between_cuts = (history.trained + trained + WEIGHT * ASSUMED) / (history.cuts + WEIGHT)
    return min(LONGEST, max(math.sqrt(2 * stall * between_cuts), writing / WRITING))
