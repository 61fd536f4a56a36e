"""Traces from Slurm's accounting: what ``sacct --parsable2`` prints, live or from a file.

A job that was preempted or requeued has a record for each time that it ran (``--duplicates``), and becomes one job
again. A task of an array is a job; tasks that never started share a record. The record of a job that was cancelled
while it waited has that moment as its start and its end (Slurm 22.05).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from passingloop.errors import DataError
from passingloop.simulation.trace_jobs import State, TraceJob
from passingloop.simulation.traces.trace import Trace
from passingloop.slurm.command import stream_command
from passingloop.slurm.job_records import tracked_resources
from passingloop.slurm.notation import seconds, task_names, timestamp

FIELDS = (
    "JobID", "User", "Account", "QOS", "Partition", "ReqTRES", "AllocTRES", "Submit", "Eligible", "Start", "End",
    "TimelimitRaw", "State",
)  # fmt: skip

NEEDED = ("JobID", "User", "Account", "AllocTRES", "Submit", "Start", "End", "State")
"""Columns without which a file cannot be used."""

TIMEOUT = 600.0
"""Seconds for sacct over some months."""

ENDS: Mapping[str, State] = {
    "COMPLETED": "completed", "FAILED": "failed", "OUT_OF_MEMORY": "failed", "CANCELLED": "cancelled",
    "TIMEOUT": "timeout", "DEADLINE": "timeout",
}  # fmt: skip
"""States in which a job has ended for good: a further record with its number is another submission."""

CUT_SHORT: Mapping[str, State] = {"PREEMPTED": "cancelled", "NODE_FAIL": "failed", "BOOT_FAIL": "failed"}
"""How a job ended whose last record says that it was cut short, and was not started again."""

NEVER_STARTED = "never started and are left out: nothing says how long they would have computed."
ENDED_AT_ONCE = "ended within a second and are left out."


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Which jobs: those that waited or ran between two times, in seconds since the epoch."""

    since: float
    until: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """One record of a job. Times are in seconds since the epoch."""

    job_id: str
    user: str
    account: str
    qos: str
    gpus: int
    cpus: int
    submitted: float
    eligible: float
    started: float | None
    ended: float | None
    limit_s: float | None
    state: str


def sacct_lines(period: Period) -> Iterator[str]:
    """What sacct prints on the jobs of a period.

    Raises:
        SlurmMissing, SlurmSilent, SlurmRefused: accounting does not answer, perhaps in the middle.
    """
    times = [f"--{name}={datetime.fromtimestamp(at):%Y-%m-%dT%H:%M:%S}" for name, at in
             (("starttime", period.since), ("endtime", period.until))]  # fmt: skip
    call = ("sacct", "--duplicates", "--allocations", "--allusers", "--parsable2", f"--format={','.join(FIELDS)}")
    return stream_command(*call, *times, timeout=TIMEOUT, variables={"SLURM_TIME_FORMAT": "%s"})


def accounting_trace(
    lines: Iterable[str], name: str, period: Period | None, partition: str = "", *, cpu_jobs: bool = False
) -> Trace:
    """The jobs of what sacct printed.

    Args:
        name: stands for the source in messages.
        period: None for all that is there.
        partition: only jobs of this one.
        cpu_jobs: also jobs without GPUs.

    Raises:
        DataError: it is not what sacct prints, or has no jobs; with the line.
    """
    records = list(_records(lines, name, partition))
    if not records:
        where = f" of the partition {partition}" if partition else ""
        raise DataError(f"{name} has no jobs{where}. Ask for a longer period, and be somebody who may see all jobs.")
    period = period or _whole(records)
    left_out: Counter[str] = Counter()
    jobs = [
        job
        for records_of_one in _by_job(records)
        for job in _trace_job(records_of_one, period, left_out, cpu_jobs=cpu_jobs)
    ]
    if not jobs:
        what = "jobs" if cpu_jobs else "jobs with GPUs"
        hint = (
            ""
            if cpu_jobs
            else ", with AccountingStorageTRES=gres/gpu in slurm.conf, without which Slurm counts no GPUs"
        )
        raise DataError(f"{name} has no {what} in this period. Ask for a longer one{hint}.")
    notes = tuple(f"{count} jobs {what}" for what, count in left_out.items())
    return Trace(name=name, length_s=period.until - period.since, jobs=(), notes=notes).with_jobs(jobs)


def _records(lines: Iterable[str], name: str, partition: str) -> Iterator[_Record]:
    columns: list[str] = []
    for line, text in enumerate(lines, start=1):
        fields = text.rstrip("\n").split("|")
        if not columns:
            columns = _columns(fields, name)
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{name}: line {line}: there are {len(fields)} fields, but {len(columns)} columns. Save it with "
                f"sacct --parsable2, without JobName: --format={','.join(FIELDS)}"
            )
        row = dict(zip(columns, fields, strict=True))
        if "." in row["JobID"] or (partition and row.get("Partition") != partition):  # 12.batch: a step
            continue
        try:
            record = _record(row)
        except ValueError as problem:
            raise DataError(f"{name}: line {line}: {problem}") from None
        yield from (replace(record, job_id=job_id) for job_id in task_names(record.job_id))


def _columns(header: list[str], name: str) -> list[str]:
    if missing := [column for column in NEEDED if column not in header]:
        raise DataError(
            f"{name}: line 1: the column {missing[0]} is missing. Save it, with its header, with sacct --allusers "
            f"--duplicates --allocations --parsable2 --format={','.join(FIELDS)}"
        )
    return header


def _record(row: Mapping[str, str]) -> _Record:
    submitted = _time(row["Submit"])
    if submitted is None:
        raise ValueError(f"Submit is {row['Submit']!r}, which is no time.")
    cpus, _, gpus, _, _ = tracked_resources(row["AllocTRES"] or row.get("ReqTRES", ""))
    minutes = row.get("TimelimitRaw", "")
    return _Record(
        job_id=row["JobID"],
        user=row["User"],
        account=row["Account"],
        qos=row.get("QOS", ""),
        gpus=math.ceil(gpus),
        cpus=cpus,
        submitted=submitted,
        eligible=_time(row.get("Eligible", "")) or submitted,
        started=_time(row["Start"]),
        ended=_time(row["End"]),
        limit_s=60.0 * int(minutes) if minutes.isdigit() else seconds(row.get("Timelimit", "")),
        state=row["State"].partition(" ")[0],  # CANCELLED by 1000
    )


def _time(text: str) -> float | None:
    """Seconds since the epoch of a time as sacct prints it, as a date or, with SLURM_TIME_FORMAT=%s, as a number."""
    return float(text) or None if text.isdigit() else timestamp(text)


def _whole(records: Sequence[_Record]) -> Period:
    since = min(record.submitted for record in records)
    ends = [record.ended or record.started or record.submitted for record in records]
    return Period(since=since, until=max(*ends, since + 1))


def _by_job(records: Iterable[_Record]) -> Iterator[list[_Record]]:
    """The records of each job, oldest first. Slurm uses numbers again, and a job that failed may be requeued by hand:
    what follows upon a job's end is another one."""
    by_number: dict[str, list[_Record]] = defaultdict(list)
    for record in records:
        by_number[record.job_id].append(record)
    for same in by_number.values():
        job: list[_Record] = []
        for record in sorted(same, key=lambda one: (one.submitted, one.started or math.inf)):
            job.append(record)
            if record.state in ENDS:
                yield job
                job = []
        if job:
            yield job


def _trace_job(
    records: Sequence[_Record], period: Period, notes: Counter[str], *, cpu_jobs: bool
) -> Iterator[TraceJob]:
    """The job of its records; none if it is left out. What is done to it is counted in `notes`."""
    first, last = records[0], records[-1]
    runs = [
        (record.started, record.ended or period.until)
        for record in records
        if record.started is not None and record.ended != record.started
    ]
    if (last.ended is not None and last.ended < period.since) or first.submitted >= period.until:
        notes["were submitted or ended outside the period and are left out."] += 1
        return
    if not last.gpus and not cpu_jobs:
        notes["had no GPU and are left out."] += 1
        return
    if not runs and (last.state != "CANCELLED" or last.ended is None):
        started = any(record.started is not None for record in records)
        notes[ENDED_AT_ONCE if started else NEVER_STARTED] += 1
        return
    begin = max(first.submitted, min(first.eligible, runs[0][0] if runs else first.eligible), period.since)
    duration = sum(max(0.0, end - max(start, period.since)) for start, end in runs)
    job = TraceJob(
        number=0,
        submit_s=begin - period.since,
        duration_s=duration,
        gpus=last.gpus,
        cpus=last.cpus,
        user=first.user,
        account=first.account,
        qos=first.qos,
        state=_end(records),
        limit_s=last.limit_s,
        patience_s=None if runs else max(0.0, (last.ended or begin) - begin),
    )
    if runs and not duration:
        notes[ENDED_AT_ONCE] += 1
        return
    notes.update(_changes(records, job, period))
    yield replace(job, limit_s=max(job.limit_s, duration + 60)) if job.limit_s and len(runs) > 1 else job


def _end(records: Sequence[_Record]) -> State:
    """How a job ended. Of one that was requeued after a preemption, Slurm 24.11 says PREEMPTED however it ended."""
    last = records[-1].state
    if last == "PREEMPTED" and len(records) > 1:
        return "completed"
    return ENDS.get(last) or CUT_SHORT.get(last, "completed")


def _changes(records: Sequence[_Record], job: TraceJob, period: Period) -> Iterator[str]:
    """What is different in the trace from what was in the accounting, about one job."""
    first, last = records[0], records[-1]
    if first.submitted < period.since:
        yield "were there at the begin: they are submitted in the first second, with what was left of them."
    elif first.eligible > first.submitted:
        yield "had to wait for a time or another job: they are submitted when they became eligible."
    if len(records) > 1:
        yield (
            "were preempted or requeued: each is one job that computes as long as it ran, with what it lost and its "
            "restarts."
        )
    if last.state == "PREEMPTED" and len(records) > 1:
        yield "ended as PREEMPTED after a restart, as such jobs do on Slurm 24.11: they count as completed."
    elif last.state == "PREEMPTED":
        yield "were preempted for good: they count as cancelled by then."
    elif last.state not in ENDS and last.state not in CUT_SHORT:
        yield "had not ended: they count with what they ran until the end of the period."
