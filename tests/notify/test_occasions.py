"""Of which ends people are told: a table."""

from __future__ import annotations

import pytest

from passingloop.config.watching import NotifyConfig, Occasion
from passingloop.notify.occasions import occasion_of
from passingloop.rundir.events import Action, Cause, Decision, End, Event, Queued
from passingloop.rundir.ledger import Ledger
from tests.rundir.events import start

QUEUED = Queued(submission="first", job_id="12")


def ended(attempt: int, cause: Cause, action: Action | None = None) -> list[Event]:
    events: list[Event] = [start(attempt), End(attempt=attempt, end_step=9, cause=cause)]
    return events if action is None else [*events, Decision(attempt=attempt, action=action, reason="why")]


@pytest.mark.parametrize(
    ("events", "occasion"),
    [
        ([], None),
        ([start(1)], None),
        (ended(1, "completed"), "done"),
        (ended(1, "cancelled"), None),
        (ended(1, "interrupted"), None),
        (ended(1, "crash", "again"), None),
        (ended(1, "crash", "stop"), "failed"),
        (ended(1, "crash"), "failed"),
        (ended(1, "timeout", "requeue"), None),
        (ended(1, "timeout", "stop"), "failed"),
        (ended(1, "node_fail", "resubmit"), None),
        (ended(1, "hung", "requeue"), "stuck"),
        (ended(1, "hung", "stop"), "failed"),
        (ended(1, "hung"), "failed"),
        (ended(1, "idle", "stop"), "idle"),
        (ended(1, "preempted", "requeue"), None),
        (ended(1, "preempted", "requeue") + ended(2, "preempted", "requeue"), "preempted"),
        (ended(1, "preempted", "requeue") + ended(2, "preempted", "requeue") + ended(3, "preempted", "requeue"), None),
        (ended(1, "preempted", "requeue") + ended(2, "crash", "again"), None),
        (ended(1, "preempted", "requeue") + ended(2, "preempted", "stop"), "failed"),
        # A person has started it again: their count begins anew.
        ([*ended(1, "preempted", "requeue"), QUEUED, *ended(2, "preempted", "requeue")], None),
        # It was to be requeued, and Slurm refused.
        ([*ended(1, "timeout", "requeue"), Decision(attempt=1, action="stop", reason="refused")], "failed"),
    ],
)
def test_of_what_people_are_told(events: list[Event], occasion: Occasion | None) -> None:
    assert occasion_of(Ledger((QUEUED, *events)), NotifyConfig(preempted_times=2)) == occasion


@pytest.mark.parametrize(
    ("wanted", "events", "occasion"),
    [
        (("failed",), ended(1, "completed"), None),
        (("stuck",), ended(1, "hung", "stop"), "stuck"),
        (("failed",), ended(1, "hung", "requeue"), None),
        (("failed",), ended(1, "idle", "stop"), "failed"),
        ((), ended(1, "crash", "stop"), None),
    ],
)
def test_only_of_what_they_want_to_know(
    wanted: tuple[Occasion, ...], events: list[Event], occasion: Occasion | None
) -> None:
    assert occasion_of(Ledger((QUEUED, *events)), NotifyConfig(occasions=wanted)) == occasion
