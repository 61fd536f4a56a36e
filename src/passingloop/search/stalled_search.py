"""Searches that stand still: nobody is at work on a run of theirs, so that nobody decides what follows. Pure.

Whoever comes to a rung decides. A decider that is killed for good, between the end of its run and its decision, leaves
its decision to the others; if it was the last, to the next command.
"""

from __future__ import annotations

from collections.abc import Mapping

from passingloop.config.space import distribution_of, number_of_points
from passingloop.search import rungs
from passingloop.search.sweep_ledger import Entry, SweepLedger
from passingloop.status.state import State

REMEDY = "The command of the sweep, given again, goes on from where it stands."

STILL = (
    "The sweep stands still: no run of it trains or waits in the queue, so nobody is left to decide what follows. "
    f"{REMEDY}"
)


def is_over(sweep: SweepLedger) -> bool:
    """Whether nothing is left to do until somebody adds a point."""
    return rungs.is_over(sweep.search, sweep.points) and not _draws_more(sweep)


def stands_still(sweep: SweepLedger, states: Mapping[str, State]) -> bool:
    """Whether something is left to do, and no run of the search is at work that would decide it.

    Args:
        states: of its runs that have begun, by the names of their folders. One that Slurm has not confirmed may be at
            work.
    """
    return not is_over(sweep) and all(state.confirmed and not state.is_active for state in states.values())


def pause_words(sweep: SweepLedger, entry: Entry, *, still: bool) -> str:
    """What becomes of a run that has paused at a rung, and that nobody trains, as a sentence."""
    if still:
        return f"It has paused at a rung. {STILL}"
    if is_over(sweep) or _has_missed(sweep, entry):
        return "It has paused at a rung, and others of its sweep went on."
    if entry.has_arrived:
        return "It has paused at a rung. Whether it goes on is decided when others have come there."
    return "It has paused at a rung, and what follows is being decided."


def _has_missed(sweep: SweepLedger, entry: Entry) -> bool:
    """Whether it has been decided who goes on from the rung of a point, and it does not. ASHA may choose it later."""
    rung = entry.point.told
    others = (point.told for point in sweep.points)
    went_on = rung is not None and any(told is not None and told > rung for told in others)
    return sweep.search.kind == "halving" and entry.has_arrived and went_on


def _draws_more(sweep: SweepLedger) -> bool:
    """Whether points are still to be drawn, one after another, and the space may have more."""
    if sweep.search.kind != "tpe" or len(sweep.entries) >= (sweep.max_points or 0):
        return False
    first = next(iter(sweep.entries.values()), None)
    if first is None:
        return False
    size = number_of_points({key: distribution_of(key, text) for key, text in first.settings["sweep"]["space"].items()})
    return size is None or len(sweep.entries) < size
