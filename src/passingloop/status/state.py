"""The state of a run, from its ledger, its lock, and its job in Slurm. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Action, Cancel, Cause, Decision, End, Event, JobRef, Queued, Start, Wait
from passingloop.rundir.ledger import Ledger
from passingloop.slurm import notation
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import RUNNING, job_end, job_phase

Kind = Literal["completed", "running", "pending", "paused", "cancelled", "failed", "interrupted", "lost", "missing"]

KIND_OF_CAUSE: Mapping[Cause, Kind] = {
    "completed": "lost",  # the end is recorded, but there is no result
    "paused": "paused",
    "preempted": "interrupted",
    "requeued": "interrupted",
    "timeout": "interrupted",
    "interrupted": "interrupted",
    "cancelled": "cancelled",
    "node_fail": "lost",
    "crash": "failed",
    "oom": "failed",
    "hung": "failed",
    "idle": "interrupted",
}
"""The state after an attempt that ended for this cause, if no job continues the run. See `_kind_of_cause`."""

BACK_IN_THE_QUEUE: tuple[Cause, ...] = ("preempted", "requeued")
"""Causes after which Slurm puts the job back into the queue by itself."""

NEWS: Mapping[type[Event | None], str] = {
    Queued: "it has just been submitted",
    Cancel: "it has just been told to stop",
}
"""What is said of a run after such an event if Slurm has not been asked since."""

KIND_OF_ACTION: Mapping[Action, Kind] = {"again": "running", "requeue": "pending", "resubmit": "pending"}
"""The state after a decision that can be carried out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The state of a run. Times are in seconds since the epoch."""

    run: RunDir
    kind: Kind
    confirmed: bool = True
    """False if Slurm does not answer or does not show the job; the state is then the last one known."""
    launcher: str | None = None
    """The launcher of the newest attempt, or of the queued one."""
    job_id: str | None = None
    submission: str | None = None
    attempt: int | None = None
    """The newest attempt that has started."""
    step: int | None = None
    """The step at which that attempt started or, if it has ended, ended."""
    attempt_start: float | None = None
    """When the running attempt started; None if none is running."""
    nodes: tuple[str, ...] = ()
    gpus: int | None = None
    """GPUs on all nodes that the running attempt uses, or that the pending job asks for; 0 of one with `shards`."""
    shards: int | None = None
    """Parts of a GPU that it uses or asks for instead."""
    since: float | None = None
    expected_start: float | None = None
    """Slurm's estimate of the pending job's start, if it has one."""
    reason: str | None = None
    """Why the job is pending, Slurm's reason code."""
    waits_for: str | None = None
    """What the running job waits for before its attempt trains, as a sentence."""
    waits_since: float | None = None
    cause: Cause | None = None
    """Why the newest attempt ended."""
    message: str | None = None
    """Why it waits, or how it ended, as a sentence."""
    action: Action | None = None
    """The decision after the newest attempt; None once the next attempt has started."""
    decision_reason: str | None = None
    """The reason of that decision, as a sentence."""

    @property
    def is_active(self) -> bool:
        """Whether the run is training, or will be without another command."""
        return self.kind in ("running", "pending")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """What is known about a run besides its ledger: its result, its lock, its jobs in Slurm."""

    finished: bool = False
    """Whether it has a result."""
    is_locked: bool = False
    jobs: Mapping[str, Job] | None = field(default_factory=dict)
    """The jobs that slurmctld knows, by job id; None if it does not answer."""
    job_ends: Mapping[str, JobEnd] = field(default_factory=dict)
    """The ends of jobs that slurmctld no longer knows, by job id, as far as slurmdbd has them."""
    news: Event | None = None
    """The run's last event if Slurm has not been asked since; `jobs` is None then."""

    def job(self, ref: JobRef) -> Job | None:
        """The job `ref` in the queue. Another cluster's job may have its id, but has another script.

        Array tasks that are cancelled before they start become one job in Slurm, with the array's id.
        """
        jobs = self.jobs or {}
        job = jobs.get(ref.job_id) or jobs.get(ref.job_id.partition("_")[0])
        return job if job and f"/{ref.submission}/" in job.script else None


def state_of(run: RunDir, ledger: Ledger, observations: Observations) -> State:
    """The state of `run`. A run without a live process or a pending job is never shown as running or pending."""
    launch = ledger.newest_launch
    if launch is None:
        return State(
            run=run, kind="completed" if observations.finished else "running" if observations.is_locked else "missing"
        )
    end = ledger.end(launch.attempt) if isinstance(launch, Start) else None
    state = _state_by_ledger(run, ledger, launch, end)
    if observations.finished:
        return replace(state, kind="completed")
    if observations.is_locked and state.kind == "running" and state.launcher == "shell":
        return replace(state, waits_for=None, waits_since=None)  # they are those of a job that waits for this attempt
    submitted = ledger.newest_job
    if submitted and observations.jobs is None:
        message = NEWS.get(type(observations.news)) if state.is_active else None
        may_go_on = state.is_active or state.kind == "paused"  # at a rung, by its job: see `_is_training`
        return replace(state, confirmed=not may_go_on, message=message or state.message)
    job = observations.job(submitted) if submitted else None
    if job and job_phase(job.state) == "waiting":
        return _pending_state(state, job)
    if job and job_phase(job.state) == "running" and end and _has_handed_over(state, job, end):
        return state
    if job and job_phase(job.state) == "running" and _is_training(state, job, end):
        return _running_state(state, job)
    job_state, ended_at = _job_state_and_end(observations, job, launch.job)
    if observations.is_locked and state.kind == "running" and job_state is None:
        return replace(state, confirmed=False)  # another user's job on a site that hides those (PrivateData=jobs)
    newest = next(event for event in reversed(ledger.events) if not isinstance(event, Wait))
    ended = _ended_state(state, end, job_state, stopped=isinstance(newest, Cancel))
    return replace(ended, since=ended_at or newest.timestamp)


def needs_accounting(state: State, history: Ledger) -> bool:
    """Whether slurmdbd may change the state, or the directory may have been read between two of its changes."""
    not_by_user = state.kind == "cancelled" and not history.is_cancel_requested and bool(history.data_jobs)
    return not_by_user or state.kind == "lost" or (state.kind == "interrupted" and state.cause in BACK_IN_THE_QUEUE)


def _state_by_ledger(run: RunDir, ledger: Ledger, launch: Queued | Start, end: End | None) -> State:
    """The state as the ledger alone gives it.

    Args:
        launch: the newest launch.
        end: the end of the attempt that `launch` started; None if it has not ended, or `launch` is only queued.
    """
    start = next(reversed(ledger.events_of(Start)), None)
    start_end = ledger.end(start.attempt) if start else None
    trains = isinstance(launch, Start) and end is None
    launcher = launch.launcher if isinstance(launch, Start) else "slurm"
    decision = _newest_decision(ledger, end) if end else None
    waits, shards = ledger.waits, _shards(ledger, launch)
    kind: Kind = "running" if trains else "pending"
    if end:
        undecided: Action = "requeue" if launcher == "slurm" and end.cause in BACK_IN_THE_QUEUE else "stop"
        kind = KIND_OF_ACTION.get(decision.action if decision else undecided) or _kind_of_cause(end.cause)
    return State(
        run=run,
        kind=kind,
        launcher=launcher,
        job_id=launch.job_id,
        submission=launch.submission,
        attempt=start.attempt if start else None,
        step=start_end.end_step if start_end else start.start_step if start else None,
        attempt_start=launch.timestamp if trains else None,
        nodes=tuple(launch.nodes) if isinstance(launch, Start) else (),
        gpus=0 if shards else _gpus(launch),
        shards=shards,
        since=(end or launch).timestamp,
        waits_for=waits[-1].reason if waits else None,
        waits_since=waits[0].timestamp if waits else None,
        cause=start_end.cause if start_end else None,
        message=end.message if end else None,
        action=decision.action if decision else None,
        decision_reason=decision.reason if decision else None,
    )


def _gpus(launch: Queued | Start) -> int | None:
    """How many an attempt has or its job asks for; None in ledgers of earlier versions."""
    if isinstance(launch, Start):
        return None if launch.gpus is None else launch.gpus * len(launch.nodes)
    return None if launch.request is None else launch.request.gpus * launch.request.nodes


def _shards(ledger: Ledger, launch: Queued | Start) -> int | None:
    """The parts of a GPU that its job was submitted for; None if it is for whole ones, or it is not known."""
    jobs = (queued for queued in reversed(ledger.events_of(Queued)) if queued.job_id == launch.job_id)
    queued = next(jobs, None)
    return (queued.request.shards if queued and queued.request else 0) or None


def _kind_of_cause(cause: Cause) -> Kind:
    """The state by an attempt's cause; one that only another version of the program knows counts as a failure."""
    return KIND_OF_CAUSE.get(cause, "failed")


def _newest_decision(ledger: Ledger, end: End) -> Decision | None:
    """The newest decision after `end`."""
    decisions = reversed(ledger.events_of(Decision))
    return next((decision for decision in decisions if decision.attempt == end.attempt), None)


def _has_handed_over(state: State, job: Job, end: End) -> bool:
    """Whether the running job will not train the run any more: it is being requeued, or a new job was submitted."""
    return state.action in ("requeue", "resubmit") and (job.started or 0.0) <= end.timestamp


def _is_training(state: State, job: Job, end: End | None) -> bool:
    """Whether the running job trains the run, or will; after the end of an attempt it may also be about to exit.

    At a rung of a search the job of a run decides what comes next, and perhaps trains on.
    """
    return end is None or state.is_active or state.kind == "paused" or (job.started or 0.0) > end.timestamp


def _pending_state(state: State, job: Job) -> State:
    return replace(
        state,
        kind="pending",
        launcher="slurm",
        job_id=job.job_id,
        attempt_start=None,
        nodes=(),
        since=job.submitted or state.since,
        expected_start=job.started,
        reason=job.reason,
        message=reason_sentence(job.reason) + (f"; its priority is lowered by {job.nice}" if job.nice > 0 else ""),
        waits_for=None,
        waits_since=None,
    )


def _running_state(state: State, job: Job) -> State:
    waits = state.waits_since is not None and state.waits_since >= (job.started or 0.0)  # not before a requeue
    return replace(
        state,
        kind="running",
        launcher="slurm",
        job_id=job.job_id,
        attempt_start=state.attempt_start
        if state.attempt_start and state.attempt_start >= (job.started or 0.0)
        else None,  # none since the requeue
        nodes=tuple(notation.node_names(job.nodes)),
        since=job.started or state.since,
        waits_for=state.waits_for if waits else None,
        waits_since=state.waits_since if waits else None,
        cause=None,
        message=None if job.state == RUNNING else f"Slurm says {job.state}.",
    )


def _job_state_and_end(
    observations: Observations, job: Job | None, launched: JobRef | None
) -> tuple[str | None, float | None]:
    """The last state of the newest launch's job, and when it ended; None if unknown, or if there was no job."""
    if launched is None:
        return None, None
    if job:
        return job.state, job.ends
    end = observations.job_ends.get(launched.job_id)
    return (end.state, end.time) if end else (None, None)


def _ended_state(state: State, end: End | None, job_state: str | None, *, stopped: bool) -> State:
    """The state of a run that no job and no process trains, or will train.

    Args:
        job_state: the last state of its job in Slurm.
        stopped: whether someone has asked for the run to be stopped.
    """
    how = job_end(job_state) if job_state else None
    state = replace(state, waits_for=None, waits_since=None)
    asked, stopped = stopped, stopped or how == "cancelled"
    if end:
        kind = _kind_of_cause(end.cause)
        # A run that has come to its rung goes on from there whatever becomes of its job.
        is_cancelled = (kind == "interrupted" and stopped) or (kind == "paused" and asked)
        return replace(state, kind="cancelled" if is_cancelled else kind)
    never_began = state.kind == "pending"
    kind = "cancelled" if stopped else "failed" if never_began and how == "failed" else "lost"
    message = "It never began." if never_began else "It ended without giving a cause."
    if not stopped and job_state:
        message += f" Slurm says {job_state}."
    elif not stopped and state.submission:
        message += " Slurm does not know its job any more."
    return replace(state, kind=kind, attempt_start=None, message=message)
