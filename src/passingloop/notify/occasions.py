"""Which ends of attempts people are told of. Pure."""

from __future__ import annotations

from passingloop.config.watching import NotifyConfig, Occasion
from passingloop.rundir.events import Cause, Decision, End
from passingloop.rundir.ledger import Ledger

BY_THE_USER: tuple[Cause, ...] = ("cancelled", "interrupted", "paused")
"""Causes that the user has brought about, and knows of; at the rungs of a search, too."""


def occasion_of(ledger: Ledger, notify: NotifyConfig) -> Occasion | None:
    """Of what is told after the newest end and the decision about it; None if there is nothing to tell."""
    found = [occasion for occasion in _occasions(ledger, notify) if occasion in notify.occasions]
    return found[0] if found else None


def newest_decision(ledger: Ledger) -> Decision | None:
    """The newest decision about the newest end."""
    ends = ledger.events_of(End)
    decisions = [each for each in ledger.events_of(Decision) if ends and each.attempt == ends[-1].attempt]
    return decisions[-1] if decisions else None


def _occasions(ledger: Ledger, notify: NotifyConfig) -> list[Occasion]:
    """What the newest end can be told as, the most telling first."""
    ends = ledger.events_of(End)
    if not ends or ends[-1].cause in BY_THE_USER:
        return []
    cause, decision = ends[-1].cause, newest_decision(ledger)
    if cause == "completed":
        return ["done"]
    if cause == "idle":
        return ["idle", "failed"]
    if decision is None or decision.action == "stop":
        return ["failed", "stuck"] if cause == "hung" else ["failed"]
    if cause == "hung":
        return ["stuck"]
    preemptions = sum(end.cause == "preempted" for end in ledger.since_user_action.events_of(End))
    return ["preempted"] if cause == "preempted" and preemptions % notify.preempted_times == 0 else []
