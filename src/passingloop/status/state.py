"""How a run stands: what its ledger says, held against what Slurm and the run's lock say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from passingloop.rundir.layout import RunDir
from passingloop.slurm import notation
from passingloop.slurm.accounting import Ended
from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import words
from passingloop.slurm.states import phase

Kind = Literal["completed", "running", "pending", "cancelled", "failed", "interrupted", "lost", "missing"]
Line = Mapping[str, Any]

OF_CAUSE: Mapping[str, Kind] = {
    "completed": "lost",  # so it said, but there is no result
    "preempted": "interrupted",
    "timeout": "interrupted",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
    "node_fail": "lost",
    "crash": "failed",
    "oom": "failed",
}
"""How a run stands after an attempt that ended for this cause, if no job is to go on with it."""

AFTER: Mapping[str, Kind] = {"again": "running", "requeue": "pending", "resubmit": "pending"}
"""How it stands after a decision, if that can be carried out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How a run stands. Times are in seconds since the epoch."""

    run: RunDir
    kind: Kind
    confirmed: bool = True
    """False where Slurm does not answer, or does not say; this is then what was known last."""
    launcher: str | None = None
    """Of the newest attempt, or of the one that is queued."""
    job_id: str | None = None
    submission: str | None = None
    attempt: int | None = None
    """The newest that has begun."""
    step: int | None = None
    """At which it began or, once it has ended, ended."""
    begun: float | None = None
    """When the attempt began that goes on now, if one does."""
    nodes: tuple[str, ...] = ()
    since: float | None = None
    starts: float | None = None
    """When Slurm means to start the job that waits, if it has said so."""
    reason: str | None = None
    """Why the job waits, in Slurm's word."""
    cause: str | None = None
    """How the newest attempt ended, in the ledger's word."""
    message: str | None = None
    """Why it waits, or how it ended, for people."""
    action: str | None = None
    """What was decided after the newest attempt, in the ledger's word; none once the next has begun."""
    decided: str | None = None
    """Why, for people."""

    @property
    def is_active(self) -> bool:
        """Whether it trains, or is going to without being told."""
        return self.kind in ("running", "pending")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known about a run besides its ledger."""

    finished: bool = False
    """Whether it has a result."""
    lock_held: bool = False
    jobs: Mapping[str, Job] | None = field(default_factory=dict)
    """Slurm's, by job id; None if it does not answer."""
    ended: Mapping[str, Ended] = field(default_factory=dict)
    """Jobs that the queue has forgotten, by job id, where slurmdbd knows them."""

    def job(self, line: Line) -> Job | None:
        """The job of a line of the ledger. Another cluster's may have its number: the script tells them apart.

        Tasks of an array that are cancelled before they begin are one job to Slurm, with the array's number.
        """
        jobs, job_id = self.jobs or {}, line["job_id"]
        job = jobs.get(job_id) or jobs.get(job_id.partition("_")[0])
        return job if job and f"/{line['submission']}/" in job.script else None


def state_of(run: RunDir, lines: Sequence[Line], known: Known) -> State:
    """How the run with the ledger `lines` stands. Nothing that has died is shown as running or waiting."""
    begun = [line for line in lines if line["event"] in ("queued", "start")]
    if not begun:
        return State(run=run, kind="completed" if known.finished else "running" if known.lock_held else "missing")
    newest, end = begun[-1], _end(lines, begun[-1])
    state = _written(run, lines, newest, end)
    if known.finished:
        return replace(state, kind="completed")
    if known.lock_held and state.kind == "running" and state.launcher == "shell":
        return state
    submitted = [line for line in begun if line.get("submission")]
    if submitted and known.jobs is None:
        return replace(state, confirmed=not state.is_active)
    job = known.job(submitted[-1]) if submitted else None
    if job and phase(job.state) == "waiting":
        return _waiting(state, job)
    if job and phase(job.state) == "running" and end and _is_leaving(state, job, end):
        return state
    if job and phase(job.state) == "running" and _goes_on(state, job, end):
        return _at_it(state, job)
    word, at = _last_word(known, job, newest)
    if known.lock_held and state.kind == "running" and word is None:
        return replace(state, confirmed=False)  # another user's, and the site hides those (PrivateData=jobs)
    return replace(
        _over(state, end, word, stopped=lines[-1]["event"] == "cancel"), since=at or _seconds(lines[-1]["time"])
    )


def _end(lines: Sequence[Line], newest: Line) -> Line | None:
    """The end of the attempt that `newest` began, if it did, and if it has ended."""
    ends = (line for line in lines if line["event"] == "end" and line["attempt"] == newest.get("attempt"))
    return next(ends, None)


def _written(run: RunDir, lines: Sequence[Line], newest: Line, end: Line | None) -> State:
    """How the run stands by its ledger alone."""
    attempts = [line for line in lines if line["event"] in ("start", "end")]
    at_it = newest["event"] == "start" and not end
    last: Line = attempts[-1] if attempts else {}
    launcher = newest.get("launcher", "slurm")
    decision = _decision(lines, end)
    kind: Kind = "running" if at_it else "pending"
    if end:
        undecided = "requeue" if launcher == "slurm" and end["cause"] == "preempted" else "stop"
        kind = AFTER.get(decision.get("action", undecided)) or OF_CAUSE[end["cause"]]
    return State(
        run=run,
        kind=kind,
        launcher=launcher,
        job_id=newest["job_id"],
        submission=newest.get("submission"),
        attempt=last.get("attempt"),
        step=last.get("end_step", last.get("start_step")),
        begun=_seconds(newest["time"]) if at_it else None,
        nodes=tuple(newest.get("nodes", ())),
        since=_seconds((end or newest)["time"]),
        cause=last.get("cause"),
        message=end.get("message") if end else None,
        action=decision.get("action"),
        decided=decision.get("reason"),
    )


def _decision(lines: Sequence[Line], end: Line | None) -> Line:
    """The newest that followed `end`; empty without any."""
    decisions = (line for line in reversed(lines) if line["event"] == "decision")
    return next((line for line in decisions if end and line["attempt"] == end["attempt"]), {})


def _is_leaving(state: State, job: Job, end: Line) -> bool:
    """Whether a job that runs has handed the run on: it is to start once more, or another is."""
    return state.action in ("requeue", "resubmit") and (job.started or 0.0) <= _seconds(end["time"])


def _goes_on(state: State, job: Job, end: Line | None) -> bool:
    """Whether a job that runs is at the run, or about to be: it may also be on its way out after the attempt's end."""
    return end is None or state.kind in ("pending", "running") or (job.started or 0.0) > _seconds(end["time"])


def _waiting(state: State, job: Job) -> State:
    return replace(
        state,
        kind="pending",
        launcher="slurm",
        job_id=job.job_id,
        begun=None,
        nodes=(),
        since=job.submitted or state.since,
        starts=job.started,
        reason=job.reason,
        message=words(job.reason),
    )


def _at_it(state: State, job: Job) -> State:
    return replace(
        state,
        kind="running",
        launcher="slurm",
        job_id=job.job_id,
        begun=state.begun if state.begun and state.begun >= (job.started or 0.0) else None,  # not since it was requeued
        nodes=tuple(notation.expand(job.nodes)),
        since=job.started or state.since,
        cause=None,
        message=None if job.state == "RUNNING" else f"Slurm says {job.state}.",
    )


def _last_word(known: Known, job: Job | None, newest: Line) -> tuple[str | None, float | None]:
    """In which state and when the job of the newest line has ended, if there is one and Slurm knows."""
    if not newest.get("submission"):
        return None, None
    if job:
        return job.state, job.ends
    ended = known.ended.get(newest["job_id"])
    return (ended.state, ended.ended) if ended else (None, None)


def _over(state: State, end: Line | None, word: str | None, *, stopped: bool) -> State:
    """No job and no process is at the run, or going to be.

    Args:
        word: the state in which Slurm says its job has ended.
        stopped: whether someone asked for that.
    """
    stopped = stopped or word == "CANCELLED"
    if end:
        kind = OF_CAUSE[end["cause"]]
        return replace(state, kind="cancelled" if stopped and kind == "interrupted" else kind)
    never_began = state.kind == "pending"
    kind = "cancelled" if stopped else "failed" if never_began and word == "FAILED" else "lost"
    said = f" Slurm says {word}." if word else " Slurm does not know its job any more." if state.submission else ""
    message = ("It never began." if never_began else "It ended without a word.") + ("" if stopped else said)
    return replace(state, kind=kind, begun=None, message=message)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
