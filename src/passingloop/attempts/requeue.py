"""Carrying out a decision from inside the job: the job back into the queue, or a new one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.attempts.announcement import announce_end
from passingloop.attempts.continuation import write_decision
from passingloop.errors import ConfigError, MissingError, PassingloopError, SlurmRefused, SlurmSilent
from passingloop.launch.allocation import Allocation
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Action, Cause, Decision, End
from passingloop.rundir.ledger import Ledger
from passingloop.rundir.record import current_time
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.slurm import control
from passingloop.slurm.command import own_job_id, restart_count
from passingloop.slurm.states import RUNNING
from passingloop.text import say

PATIENCE = 120.0
"""Seconds for which a Slurm is asked again that does not answer."""

ENDING = 1800.0
"""Seconds in which Slurm ends a job that goes back into the queue: a grace time may be long."""

PAUSE = 3.0
"""Seconds between two questions to a Slurm that does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchJob:
    """The batch job that we are in."""

    allocation: Allocation
    task: TrainTask
    submission: Submission
    code: Path
    """The folder of its frozen code."""

    @property
    def job_id(self) -> str:
        return self.allocation.name


def act_on_decision(run: RunDir, job: BatchJob, *, alone: bool = True) -> bool:
    """Carry out the newest decision, if there is one that is not carried out. Returns whether to begin again here.

    Args:
        alone: whether the run has the job for itself. Otherwise the job is requeued by `requeue_members`.
    """
    past = ledger.read(run)
    decision = past.events[-1]
    if not isinstance(decision, Decision) or (decision.action == "requeue" and not alone):
        return False
    if decision.action not in ("requeue", "resubmit"):
        return False
    with undisturbed():
        return _leave(run, job, decision, past)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within it signals do not end Slurm's commands, which are ours to start: Slurm sends them to all our children."""
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _leave(run: RunDir, job: BatchJob, decision: Decision, past: Ledger) -> bool:
    """Requeue or submit what `decision` says. Returns whether to begin again here."""
    # Before Slurm is asked to requeue: that begins the time until it kills this process.
    other = _other_size(job, past.events_of(End)[-1]) if decision.action == "requeue" else None
    if decision.action == "requeue" and _is_requeued(job, past.events_of(End)[-1].cause):
        if other and _continues_elsewhere(run, job, decision, other):
            return False
        time.sleep(ENDING)  # until Slurm ends this job to start it again: with an exit code it would have failed
        return False
    return _submit_again(run, job, decision, other)


def stay_ended() -> None:
    """Keep Slurm from starting this job once more, now that its task is done or not to go on in it.

    Slurm 24.11 does so once after each preemption, when the job that it requeued has ended, whatever the exit code
    (not 22.05 and 26.05). A run that is complete would take its GPUs again, and one that failed would be tried again.
    """
    job_id = own_job_id(os.environ)
    if job_id and restart_count(os.environ):
        with suppress(PassingloopError):
            control.forbid_requeue(job_id)


def requeue_members(jobs: Sequence[BatchJob]) -> None:
    """Requeue the job that several runs share, for those of its runs that decided so; one of `jobs` for each.

    Where Slurm does not requeue it, each of them gets a job of its own.
    """
    if not jobs:
        return
    causes = [ledger.read(job.task.run).events_of(End)[-1].cause for job in jobs]
    if _is_requeued(jobs[0], causes[0]):
        time.sleep(ENDING)
    for job in jobs:
        decision = ledger.read(job.task.run).events_of(Decision)[-1]
        _submit_again(job.task.run, job, decision, None)


def _is_requeued(job: BatchJob, cause: Cause) -> bool:
    """Whether the job is started again. Slurm 22.05 does not do so with what ends by itself in its grace time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            control.requeue_job(job.job_id)
            return True
        except SlurmSilent:
            time.sleep(PAUSE)
        except SlurmRefused:
            return _was_requeued(job.job_id)
        except MissingError:  # no scontrol on this node: Slurm requeues by itself what it has preempted
            return cause in ("preempted", "requeued")
    return False


def _other_size(job: BatchJob, end: End) -> Decision | None:
    """The decision to go on with another size than that of this job; None if it stays, or nothing is known."""
    if not job.task.config.resources.is_ranged:
        return None
    from passingloop.submit.resubmission import Own, other_size  # late: as in `_submit_again`

    try:
        here = control.job_fields(job.job_id)
        own = Own(
            nodes=job.allocation.nodes,
            gpus=job.allocation.gpus,
            priority=int(here["Priority"]),
            partition=here["Partition"],
            makes_way=end.cause == "preempted",
            holds=here["JobState"] == RUNNING,
        )
        return other_size(job.task, job.submission, job.code, own, end.attempt)
    except PassingloopError as error:
        say(f"The size stays what it was: {error}")
        return None


def _continues_elsewhere(run: RunDir, job: BatchJob, requeued: Decision, other: Decision) -> bool:
    """Whether the run goes on in a new job, of another size. This one has been requeued, and is cancelled then.

    In this order the run always has a job in the queue. If both are there, the old one does not begin, as the new one
    is in the ledger.
    """
    from passingloop.submit.resubmission import resubmit

    write_decision(run, other)
    try:
        job_id = resubmit(job.task, job.submission, job.code, other)
    except PassingloopError as error:
        write_decision(run, replace(requeued, reason=f"The size stays what it was: {error}", time=current_time()))
        return False
    say(f"The run continues in Slurm job {job_id}.")
    with suppress(PassingloopError):
        control.cancel_jobs([job.job_id])
    return True


def _was_requeued(job_id: str) -> bool:
    """Whether Slurm had put the job back already, since it started us."""
    try:
        restarts_now = int(control.job_fields(job_id).get("Restarts", "0"))
    except PassingloopError:
        return False
    return restarts_now > restart_count(os.environ)


def _submit_again(run: RunDir, job: BatchJob, decision: Decision, other: Decision | None) -> bool:
    """Submit it, with the `other` size if there is one. Returns whether to begin again here.

    That is so where the cluster would not run it without certain nodes.
    """
    from passingloop.submit.resubmission import resubmit  # late: brings submitit, of which most attempts have no need

    if decision.action == "requeue":
        reason = "Slurm does not put this job back into the queue."
        decision = other or Decision(attempt=decision.attempt, action="resubmit", reason=reason)
        write_decision(run, decision)
    try:
        job_id = resubmit(job.task, job.submission, job.code, decision)
    except ConfigError as refusal:
        avoids_nodes = bool(decision.exclude)
        why = "There is no other place for it" if avoids_nodes else "It cannot be submitted again"
        action: Action = "again" if avoids_nodes else "stop"
        write_decision(run, Decision(attempt=decision.attempt, action=action, reason=f"{why}: {refusal}"))
        announce_end(run, job.task.config)
        return avoids_nodes
    except MissingError as error:
        say(f"error: {error}")
        return False
    say(f"The run continues in Slurm job {job_id}.")
    return False
