"""A trace: the jobs of a period, and in sentences what is not in the source as it is replayed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from passingloop.simulation.trace_jobs import TraceJob

HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Jobs in the order of their submission, numbered from 0."""

    name: str
    """What it was read or generated from: ``jobs.csv``, ``sacct from 2026-10-01``, ``synthetic:philly``."""
    length_s: float
    """The period in which the jobs were submitted, in seconds from its begin."""
    jobs: tuple[TraceJob, ...]
    notes: tuple[str, ...] = ()
    """What was left out, shifted or made up, each a sentence with its count."""

    def with_jobs(self, jobs: list[TraceJob], *notes: str) -> Trace:
        """The same trace with other jobs, put in order and numbered anew, and with further notes."""
        return replace(self, jobs=in_order(jobs), notes=(*self.notes, *notes))


def in_order(jobs: list[TraceJob]) -> tuple[TraceJob, ...]:
    """Jobs in the order of their submission, numbered from 0. Of those submitted at once the order stays."""
    ordered = sorted(jobs, key=lambda job: job.submit_s)
    return tuple(replace(job, number=number) for number, job in enumerate(ordered))


def window(trace: Trace, begin_s: float, length_s: float) -> Trace:
    """The jobs submitted in a part of a trace, as a trace of its own."""
    end_s = min(begin_s + length_s, trace.length_s)
    inside = [job for job in trace.jobs if begin_s <= job.submit_s < end_s]
    moved = [replace(job, submit_s=job.submit_s - begin_s) for job in inside]
    left = len(trace.jobs) - len(inside)
    note = f"{left} jobs were submitted outside the {(end_s - begin_s) / DAY:g} days that are replayed."
    return replace(trace.with_jobs(moved, *([note] if left else [])), length_s=end_s - begin_s)


def offered_load(trace: Trace, gpus: int) -> float:
    """The utilisation that `gpus` GPUs would have in the trace's period if no job ever waited.

    Of a job that computes beyond the period's end only the part before it counts.
    """
    return sum(gpu_seconds_inside(job, trace.length_s) for job in trace.jobs) / (gpus * trace.length_s)


def gpu_seconds_inside(job: TraceJob, length_s: float) -> float:
    """The GPU-seconds of a job before the end of the period, if it began when it was submitted."""
    return job.gpus * max(0.0, min(job.duration_s, length_s - job.submit_s))
