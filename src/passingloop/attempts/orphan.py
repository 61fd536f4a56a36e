"""In a batch job that Slurm has started again: what became of the attempt before, which nobody saw end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from passingloop.attempts.ending import close_unseen
from passingloop.attempts.series import Line
from passingloop.preempt.cause import OF_END
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause
from passingloop.slurm import accounting, control
from passingloop.slurm.accounting import Stay
from passingloop.slurm.states import end_of

SLACK = 2.0
"""Seconds. Slurm's times are whole seconds, and another machine's."""


@dataclass(frozen=True, slots=True)
class Gone:
    """How an attempt was lost."""

    cause: Cause
    message: str
    failed: Sequence[str] = ()
    """Its nodes that have failed."""


def close_left_open(run: RunDir, job_id: str | None) -> Gone | None:
    """Write the end of the newest attempt, if it has none. Its processes are gone: we hold the run's lock.

    Args:
        job_id: the job that we are in; if it was the attempt's too, then Slurm has requeued it.
    """
    starts = [line for line in ledger.lines(run) if line["event"] == "start"]
    if not starts or ledger.ended(run, starts[-1]["attempt"]):
        return None
    start = starts[-1]
    gone = _gone(start, requeued=start["job_id"] == job_id)
    close_unseen(run, start["attempt"], gone.cause, gone.message)
    return gone


def _gone(start: Line, *, requeued: bool) -> Gone:
    begun = datetime.fromisoformat(start["time"]).timestamp()
    stay = _stay(start, begun)
    failed = control.failed_nodes(start["nodes"], begun) if start["submission"] else []
    cause = _cause(stay) if stay else _without_accounting(failed, requeued=requeued)
    said = f"Slurm says {stay.state}." if stay else ""
    named = failed or (start["nodes"] if len(start["nodes"]) == 1 else [])
    return Gone(cause, f"It ended without a word. {said}".rstrip(), named if cause == "node_fail" else ())


def _stay(start: Line, begun: float) -> Stay | None:
    """The time that its job was running when the attempt began, if accounting knows."""
    if not start["submission"]:
        return None
    stays = [stay for stay in accounting.stays(start["job_id"]) if stay.started <= begun + SLACK]
    return stays[-1] if stays and stays[-1].state != "RUNNING" else None


def _cause(stay: Stay) -> Cause:
    """By the state in which accounting has its end; where that names nothing else, the attempt ended by itself."""
    end = end_of(stay.state)
    return OF_END[end] if end else "crash"


def _without_accounting(failed: Sequence[str] | None, *, requeued: bool) -> Cause:
    """By whether the job was put back into the queue, and whether its nodes are well (None: nobody knows)."""
    if not requeued:
        return "crash"
    return "preempted" if failed == [] else "node_fail"
