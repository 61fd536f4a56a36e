"""Telling people how a run goes: done by its supervisor, as the only process that knows every end."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

from passingloop.config.settings import RunConfig
from passingloop.config.watching import Occasion
from passingloop.notify.delivery import begin_delivery
from passingloop.notify.notice import Notice
from passingloop.notify.occasions import newest_decision, occasion_of
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir, owner_name
from passingloop.rundir.events import End, Start
from passingloop.rundir.ledger import Ledger


def announce_end(run: RunDir, config: RunConfig) -> None:
    """Tell of the newest end and the decision about it, if that is worth telling. Waits for nobody."""
    if not config.notify.has_receiver:
        return
    past = ledger.read(run)
    occasion = occasion_of(past, config.notify)
    if occasion is None:
        return
    end, decision = past.events_of(End)[-1], newest_decision(past)
    result = run.read_result() if occasion == "done" else None
    notice = replace(
        _notice(run, past, occasion),
        attempt=end.attempt,
        step=end.end_step,
        cause=end.cause,
        message=end.message,
        action=decision.action if decision else None,
        reason=decision.reason if decision else None,
        rank=end.rank,
        metrics=result["metrics"] if result else {},
    )
    begin_delivery(notice, config.notify)


def announce_idleness(run: RunDir, config: RunConfig, sentence: str) -> None:
    """Tell that the GPUs of a run compute nothing, of which it is warned. Waits for nobody."""
    if not config.notify.has_receiver or "idle" not in config.notify.occasions:
        return
    past = ledger.read(run)
    attempt = past.next_attempt - 1
    begin_delivery(replace(_notice(run, past, "idle"), attempt=attempt, message=sentence), config.notify)


def _notice(run: RunDir, past: Ledger, occasion: Occasion) -> Notice:
    """What a notice says whatever it is about."""
    starts = past.events_of(Start)
    return Notice(
        occasion=occasion,
        name=run.path.parent.name,
        signature=run.path.name,
        path=str(run.path),
        host=socket.gethostname(),
        user=owner_name(os.getuid()),
        job_id=starts[-1].job_id if starts else None,
    )
