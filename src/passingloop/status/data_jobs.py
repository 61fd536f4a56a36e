"""The state of a run whose job waits for other jobs that prepare its data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from passingloop.rundir.events import JobRef, Queued
from passingloop.rundir.ledger import Ledger
from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import COMPLETED, job_end, job_phase
from passingloop.status.state import Observations, State


def state_with_data_jobs(
    state: State, ledger: Ledger, observations: Observations, failures: Mapping[JobRef, str]
) -> State:
    """`state`, or the state that follows from the jobs that prepare the run's data, if the run waits for them.

    Args:
        failures: the messages that jobs which failed have written.
    """
    if state.kind not in ("pending", "cancelled", "lost") or not isinstance(ledger.events[-1], Queued):
        return state
    for ref in ledger.data_jobs:
        job = observations.job(ref)
        if job and job_phase(job.state) != "ended":
            if state.kind == "pending":
                return replace(state, message=_wait_message(job))
            continue
        end = observations.job_ends.get(ref.job_id)
        job_state = job.state if job else end.state if end else None
        if ref in failures or job_state not in (None, COMPLETED):
            return _failed_state(state, ref, job_state, failures.get(ref))
    return state


def _wait_message(job: Job) -> str:
    progress = "running" if job_phase(job.state) == "running" else f"which waits itself: {reason_sentence(job.reason)}"
    return f"it waits for its data to be prepared (job {job.job_id}, {progress})"


def _failed_state(state: State, ref: JobRef, job_state: str | None, message: str | None) -> State:
    if job_state and job_end(job_state) == "cancelled" and message is None:
        return replace(
            state, kind="cancelled", message=f"It never began: job {ref.job_id}, to prepare its data, was cancelled."
        )
    reason = message or f"job {ref.job_id} ended, Slurm says {job_state}."
    return replace(
        state, kind="failed", expected_start=None, reason=None, message=f"preparing the data failed: {reason}"
    )
