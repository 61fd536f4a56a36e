"""Carrying out a decision from inside the job: the job back into the queue, or a new one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.attempts.continuation import write_decision
from passingloop.errors import ConfigError, MissingError, PassingloopError, SlurmRefused, SlurmSilent
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause, Decision, End
from passingloop.slurm import control
from passingloop.text import say

PATIENCE = 120.0
"""Seconds for which a Slurm is asked again that does not answer."""

ENDING = 1800.0
"""Seconds in which Slurm ends a job that goes back into the queue: a grace time may be long."""

PAUSE = 3.0
"""Seconds between two questions to a Slurm that does not answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """The batch job that we are in."""

    job_id: str
    task: Mapping[str, Any]
    """What it was to do."""
    submission: str
    code: Path


def go_on(run: RunDir, job: Job) -> bool:
    """Carry out the newest decision, if there is one that is not carried out. Returns whether to begin again here."""
    past = ledger.read(run)
    decision = past.events[-1]
    if not isinstance(decision, Decision):
        return False
    if decision.action == "requeue" and _is_requeued(job, past.of(End)[-1].cause):
        time.sleep(ENDING)  # until Slurm ends this job to start it again: with an exit code it would have failed
    elif decision.action in ("requeue", "resubmit"):
        return _in_a_new_job(run, job, decision)
    return False


def _is_requeued(job: Job, cause: Cause) -> bool:
    """Whether the job is started again. Slurm 22.05 does not do so with what ends by itself in its grace time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            control.requeue(job.job_id)
            return True
        except SlurmSilent:
            time.sleep(PAUSE)
        except SlurmRefused:
            return _was_requeued(job.job_id)
        except MissingError:  # no scontrol on this node: Slurm requeues by itself what it has preempted
            return cause == "preempted"
    return False


def _was_requeued(job_id: str) -> bool:
    """Whether Slurm had put the job back already, since it started us."""
    try:
        restarts = int(control.job(job_id).get("Restarts", "0"))
    except PassingloopError:
        return False
    return restarts > int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _in_a_new_job(run: RunDir, job: Job, decision: Decision) -> bool:
    """Submit it. Where the cluster would not run it without certain nodes, begin again here."""
    from passingloop.submit.resubmission import resubmit  # late: brings submitit, of which most attempts have no need

    if decision.action == "requeue":
        reason = "Slurm does not put this job back into the queue."
        decision = Decision(attempt=decision.attempt, action="resubmit", reason=reason)
        write_decision(run, decision)
    try:
        job_id = resubmit(run, job.task, job.submission, job.code, decision)
    except ConfigError as refusal:
        here = bool(decision.exclude)
        reason = f"There is no other place for it: {refusal}" if here else f"It cannot be submitted again: {refusal}"
        write_decision(run, Decision(attempt=decision.attempt, action="again" if here else "stop", reason=reason))
        return here
    except MissingError as error:
        say(f"error: {error}")
        return False
    say(f"The run goes on in Slurm job {job_id}.")
    return False
