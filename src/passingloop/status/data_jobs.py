"""How a run stands that waits for jobs that prepare its data. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from passingloop.slurm.queue import Job
from passingloop.slurm.reasons import words
from passingloop.slurm.states import phase
from passingloop.status.state import Known, Line, State


@dataclass(frozen=True, kw_only=True, slots=True)
class DataJob:
    """A job that prepares data."""

    submission: str
    job_id: str


def data_jobs(lines: Sequence[Line]) -> list[DataJob]:
    """Those that the run has to wait for, by its ledger; none once it has begun."""
    begun = [line for line in lines if line["event"] in ("queued", "start")]
    found = begun[-1].get("data", []) if begun else []
    return [DataJob(submission=name, job_id=job_id) for name, _, job_id in (entry.partition("/") for entry in found)]


def seen_with_data(state: State, lines: Sequence[Line], known: Known, failures: Mapping[DataJob, str]) -> State:
    """`state`, where the jobs that prepare its data explain it.

    Args:
        failures: what has been written down by those that have failed.
    """
    if state.kind not in ("pending", "cancelled", "lost") or lines[-1]["event"] != "queued":
        return state
    for one in data_jobs(lines):
        job = _job(one, known)
        if job and phase(job.state) != "ended":
            if state.kind == "pending":
                return replace(state, message=_waits(job))
            continue
        word = job.state if job else known.ended[one.job_id].state if one.job_id in known.ended else None
        if one in failures or word not in (None, "COMPLETED"):
            return _failed(state, one, word, failures.get(one))
    return state


def _job(one: DataJob, known: Known) -> Job | None:
    """Another cluster's may have its number: the script tells them apart."""
    job = (known.jobs or {}).get(one.job_id)
    return job if job and f"/{one.submission}/" in job.script else None


def _waits(job: Job) -> str:
    how = "running" if phase(job.state) == "running" else f"which waits itself: {words(job.reason)}"
    return f"it waits for its data to be prepared (job {job.job_id}, {how})"


def _failed(state: State, one: DataJob, word: str | None, message: str | None) -> State:
    if word == "CANCELLED" and message is None:
        return replace(
            state, kind="cancelled", message=f"It never began: job {one.job_id}, to prepare its data, was cancelled."
        )
    why = message or f"job {one.job_id} ended, Slurm says {word}."
    return replace(state, kind="failed", starts=None, reason=None, message=f"preparing the data failed: {why}")
