"""The state of a run that waits for jobs that prepare its data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from passingloop.rundir.ledger import JobRef, Ledger, Queued
from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import phase
from passingloop.status.state import Known, State


def with_data_jobs(state: State, ledger: Ledger, known: Known, failures: Mapping[JobRef, str]) -> State:
    """`state`, explained by the jobs that prepare the run's data where they are the reason for it.

    Args:
        failures: what has been written down by those that have failed.
    """
    if state.kind not in ("pending", "cancelled", "lost") or not isinstance(ledger.events[-1], Queued):
        return state
    for ref in ledger.data_jobs:
        job = known.job(ref)
        if job and phase(job.state) != "ended":
            if state.kind == "pending":
                return replace(state, message=_waits(job))
            continue
        job_state = job.state if job else known.ended[ref.job_id].state if ref.job_id in known.ended else None
        if ref in failures or job_state not in (None, "COMPLETED"):
            return _failed(state, ref, job_state, failures.get(ref))
    return state


def _waits(job: Job) -> str:
    how = "running" if phase(job.state) == "running" else f"which waits itself: {reason_sentence(job.reason)}"
    return f"it waits for its data to be prepared (job {job.job_id}, {how})"


def _failed(state: State, ref: JobRef, job_state: str | None, message: str | None) -> State:
    if job_state == "CANCELLED" and message is None:
        return replace(
            state, kind="cancelled", message=f"It never began: job {ref.job_id}, to prepare its data, was cancelled."
        )
    why = message or f"job {ref.job_id} ended, Slurm says {job_state}."
    return replace(state, kind="failed", starts=None, reason=None, message=f"preparing the data failed: {why}")
