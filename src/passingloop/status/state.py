"""The state of a run: from its ledger, and from what Slurm and the run's lock say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Action, Cancel, Cause, Decision, End, JobRef, Ledger, Queued, Start
from passingloop.slurm import notation
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import phase

Kind = Literal["completed", "running", "pending", "cancelled", "failed", "interrupted", "lost", "missing"]

OF_CAUSE: Mapping[Cause, Kind] = {
    "completed": "lost",  # by its end, but there is no result
    "preempted": "interrupted",
    "timeout": "interrupted",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
    "node_fail": "lost",
    "crash": "failed",
    "oom": "failed",
}
"""The state after an attempt that ended for this cause, if no job continues the run."""

AFTER: Mapping[Action, Kind] = {"again": "running", "requeue": "pending", "resubmit": "pending"}
"""The state after a decision, if that can be carried out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The state of a run. Times are in seconds since the epoch."""

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
    """When the attempt that runs now began, if one does."""
    nodes: tuple[str, ...] = ()
    since: float | None = None
    starts: float | None = None
    """When Slurm means to start the job that waits, if it has said so."""
    reason: str | None = None
    """Why the job waits, in Slurm's word."""
    cause: Cause | None = None
    """How the newest attempt ended."""
    message: str | None = None
    """Why it waits, or how it ended, for people."""
    action: Action | None = None
    """What was decided after the newest attempt; none once the next has begun."""
    decided: str | None = None
    """Why, for people."""

    @property
    def is_active(self) -> bool:
        """Whether it trains, or will without a further command."""
        return self.kind in ("running", "pending")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known about a run besides its ledger."""

    finished: bool = False
    """Whether it has a result."""
    lock_held: bool = False
    jobs: Mapping[str, Job] | None = field(default_factory=dict)
    """Slurm's, by job id; None if it does not answer."""
    ended: Mapping[str, JobEnd] = field(default_factory=dict)
    """Jobs that the queue has forgotten, by job id, where slurmdbd knows them."""

    def job(self, ref: JobRef) -> Job | None:
        """A job that was submitted. Another cluster's may have its number: the script tells them apart.

        Tasks of an array that are cancelled before they begin are one job to Slurm, with the array's number.
        """
        jobs = self.jobs or {}
        job = jobs.get(ref.job_id) or jobs.get(ref.job_id.partition("_")[0])
        return job if job and f"/{ref.submission}/" in job.script else None


def state_of(run: RunDir, ledger: Ledger, known: Known) -> State:
    """The state of `run`. What has died is never shown as running or waiting."""
    launch = ledger.newest_launch
    if launch is None:
        return State(run=run, kind="completed" if known.finished else "running" if known.lock_held else "missing")
    end = ledger.end(launch.attempt) if isinstance(launch, Start) else None
    state = _by_ledger(run, ledger, launch, end)
    if known.finished:
        return replace(state, kind="completed")
    if known.lock_held and state.kind == "running" and state.launcher == "shell":
        return state
    submitted = ledger.newest_job
    if submitted and known.jobs is None:
        return replace(state, confirmed=not state.is_active)
    job = known.job(submitted) if submitted else None
    if job and phase(job.state) == "waiting":
        return _waiting(state, job)
    if job and phase(job.state) == "running" and end and _hands_over(state, job, end):
        return state
    if job and phase(job.state) == "running" and _trains_on(state, job, end):
        return _running(state, job)
    job_state, job_end = _end_of_job(known, job, launch.job)
    if known.lock_held and state.kind == "running" and job_state is None:
        return replace(state, confirmed=False)  # another user's, and the site hides those (PrivateData=jobs)
    newest = ledger.events[-1]
    ended = _ended(state, end, job_state, stopped=isinstance(newest, Cancel))
    return replace(ended, since=job_end or newest.moment)


def _by_ledger(run: RunDir, ledger: Ledger, launch: Queued | Start, end: End | None) -> State:
    """The state by the ledger alone.

    Args:
        launch: the newest.
        end: of the attempt that `launch` began, if it did and that has ended.
    """
    start = next(reversed(ledger.events_of(Start)), None)
    start_end = ledger.end(start.attempt) if start else None
    trains = isinstance(launch, Start) and end is None
    launcher = launch.launcher if isinstance(launch, Start) else "slurm"
    decision = _decision(ledger, end) if end else None
    kind: Kind = "running" if trains else "pending"
    if end:
        undecided: Action = "requeue" if launcher == "slurm" and end.cause == "preempted" else "stop"
        kind = AFTER.get(decision.action if decision else undecided) or OF_CAUSE[end.cause]
    return State(
        run=run,
        kind=kind,
        launcher=launcher,
        job_id=launch.job_id,
        submission=launch.submission,
        attempt=start.attempt if start else None,
        step=start_end.end_step if start_end else start.start_step if start else None,
        begun=launch.moment if trains else None,
        nodes=tuple(launch.nodes) if isinstance(launch, Start) else (),
        since=(end or launch).moment,
        cause=start_end.cause if start_end else None,
        message=end.message if end else None,
        action=decision.action if decision else None,
        decided=decision.reason if decision else None,
    )


def _decision(ledger: Ledger, end: End) -> Decision | None:
    """The newest that followed `end`."""
    decisions = reversed(ledger.events_of(Decision))
    return next((decision for decision in decisions if decision.attempt == end.attempt), None)


def _hands_over(state: State, job: Job, end: End) -> bool:
    """Whether a job that still runs is no longer to train the run: it is requeued, or another job is submitted."""
    return state.action in ("requeue", "resubmit") and (job.started or 0.0) <= end.moment


def _trains_on(state: State, job: Job, end: End | None) -> bool:
    """Whether a job that runs trains the run, or will: after the attempt's end it may also be about to exit."""
    return end is None or state.is_active or (job.started or 0.0) > end.moment


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
        message=reason_sentence(job.reason),
    )


def _running(state: State, job: Job) -> State:
    return replace(
        state,
        kind="running",
        launcher="slurm",
        job_id=job.job_id,
        begun=state.begun if state.begun and state.begun >= (job.started or 0.0) else None,  # not since it was requeued
        nodes=tuple(notation.node_names(job.nodes)),
        since=job.started or state.since,
        cause=None,
        message=None if job.state == "RUNNING" else f"Slurm says {job.state}.",
    )


def _end_of_job(known: Known, job: Job | None, launched: JobRef | None) -> tuple[str | None, float | None]:
    """In which state and when the job of the newest launch has ended, if that was in one and Slurm knows."""
    if launched is None:
        return None, None
    if job:
        return job.state, job.ends
    ended = known.ended.get(launched.job_id)
    return (ended.state, ended.time) if ended else (None, None)


def _ended(state: State, end: End | None, job_state: str | None, *, stopped: bool) -> State:
    """The state where no job and no process trains the run, or will.

    Args:
        job_state: in which Slurm says its job has ended.
        stopped: whether someone asked for that.
    """
    stopped = stopped or job_state == "CANCELLED"
    if end:
        kind = OF_CAUSE[end.cause]
        return replace(state, kind="cancelled" if stopped and kind == "interrupted" else kind)
    never_began = state.kind == "pending"
    kind = "cancelled" if stopped else "failed" if never_began and job_state == "FAILED" else "lost"
    message = "It never began." if never_began else "It ended without giving a cause."
    if not stopped and job_state:
        message += f" Slurm says {job_state}."
    elif not stopped and state.submission:
        message += " Slurm does not know its job any more."
    return replace(state, kind=kind, begun=None, message=message)
