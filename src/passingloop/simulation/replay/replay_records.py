"""From Slurm's accounting and the jobs' own reports to what became of each job. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.trace_jobs import Outcome, Segment, TraceJob

COMMAND = (
    *("sacct", "--allusers", "--duplicates", "--allocations", "--noheader", "--parsable2"),
    *("--starttime=2000-01-01", "--endtime=2100-01-01", "--format=JobName,Eligible,Start,End,State"),
)
"""With SLURM_TIME_FORMAT=%s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A job's report that it was asked to stop."""

    at: float
    """Seconds since 1970."""
    useful_s: float
    """What it had computed in this segment and has saved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One row of the accounting: a job until it ended or was requeued. Times are seconds since 1970."""

    number: int
    eligible: float | None
    start: float | None
    end: float | None
    state: str


def read_records(output: str) -> list[Record]:
    """The rows of `COMMAND` that are of the trace, in their order."""
    records = []
    for line in output.splitlines():
        name, eligible, start, end, state = line.split("|")
        if name.isdecimal():
            times = [float(text) if text.isdecimal() and text != "0" else None for text in (eligible, start, end)]
            records.append(
                Record(number=int(name), eligible=times[0], start=times[1], end=times[2], state=state.split(" ")[0])
            )
    return records


@dataclass(frozen=True, kw_only=True, slots=True)
class Reports:
    """What is known of the jobs but for the accounting."""

    stops: Mapping[tuple[int, int], Stop]
    """By the job's number, and how often it had been requeued before."""
    ended: frozenset[int]
    """The jobs that computed to their end."""
    limits_s: Mapping[int, float]
    """The time limit that each had."""
    reasons: Mapping[int, str]
    """Why those wait that still wait."""
    begins: Mapping[int, Sequence[float]]
    """When the script of each job began, and began again: seconds since 1970."""


def outcomes(
    jobs: Sequence[TraceJob], records: Iterable[Record], reports: Reports, saving: Saving, zero: float, over: float
) -> tuple[Outcome, ...]:
    """What became of each job.

    Args:
        zero: the time at which the trace began.
        over: at which the replay ended; both are seconds since 1970.
    """
    rows: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.number].append(record)
    return tuple(
        _outcome(job, _with_starts(rows[job.number], reports.begins.get(job.number, ())), reports, saving, zero, over)
        for job in jobs
    )


def _with_starts(rows: Sequence[Record], begins: Sequence[float]) -> list[Record]:
    """The rows of a job. slurmdbd may not know when one started (Slurm 22.05, if it was submitted a moment before):
    its script says that. It began after the piece before had ended, and before its own end."""

    def is_in(begin: float, row: Record) -> bool:
        return row.start is not None and row.start <= begin <= (row.end or begin)

    unknown = [begin for begin in begins if not any(is_in(begin, row) for row in rows)]

    def start(row: Record) -> float | None:
        ends = (one.end for one in rows if one.end is not None and (row.end is None or one.end < row.end))
        before = max(ends, default=0.0)
        return max((begin for begin in unknown if before <= begin <= (row.end or begin)), default=None)

    return [replace(row, start=start(row)) if row.start is None else row for row in rows]


def _outcome(
    job: TraceJob, rows: Sequence[Record], reports: Reports, saving: Saving, zero: float, over: float
) -> Outcome:
    eligible = [row.eligible for row in rows if row.eligible is not None]
    started = sorted(
        (row for row in rows if row.start is not None and row.start < over), key=lambda row: row.start or 0
    )
    segments = tuple(
        _segment(job, row, number, number == len(started) - 1, reports, saving, zero, over)
        for number, row in enumerate(started)
    )
    return Outcome(
        job=job,
        eligible_s=min(eligible) - zero if eligible else job.submit_s,
        segments=segments,
        reason="" if segments else reports.reasons.get(job.number, ""),
    )


def _segment(
    job: TraceJob,
    row: Record,
    number: int,
    is_last: bool,
    reports: Reports,
    saving: Saving,
    zero: float,
    over: float,
) -> Segment:
    assert row.start is not None
    end = over if row.end is None or row.end > over else row.end
    held = max(0.0, end - row.start)
    restart = min(saving.restart_s, held) if number else 0.0
    if row.end is None or row.end > over:
        return Segment(row.start - zero, end - zero, restart, "running")
    stop = reports.stops.get((job.number, number))
    if stop is None and is_last and job.number in reports.ended:
        return Segment(row.start - zero, end - zero, restart, job.state)
    lost = held - (stop.useful_s if stop else 0.0)
    timeout = row.state == "TIMEOUT" or (stop and stop.at - row.start > reports.limits_s[job.number] - 150)
    return Segment(row.start - zero, end - zero, max(0.0, lost), "timeout" if timeout else "preempted")


def launch_s(found: Sequence[Outcome]) -> float:
    """How long jobs held their GPUs beyond what they computed, the median of those that ran in one piece."""
    beyond = [
        one.segments[0].end_s - one.segments[0].start_s - one.job.duration_s
        for one in found
        if len(one.segments) == 1 and one.segments[0].end == one.job.state
    ]
    return max(0.0, statistics.median(beyond)) if beyond else 0.0
