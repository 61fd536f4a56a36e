"""Traces as CSV. Everything that is wrong with a file is reported at once, each with its line.

    submit_s,duration_s,gpus,group                       needed
    user,qos,cpus,state,limit_s,patience_s               where the source has them

An empty field of the second line is as if the column were not there. `group` becomes the account; without a `user` all
jobs of a group are of one user with the group's name. `passingloop.simulation.trace_jobs` says what the others mean.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.errors import DataError
from passingloop.simulation.trace_jobs import State, TraceJob
from passingloop.simulation.traces.trace import DAY, HOUR, Trace, in_order

if TYPE_CHECKING:
    from _csv import Reader

NEEDED = ("submit_s", "duration_s", "gpus", "group")
OPTIONAL = ("user", "qos", "cpus", "state", "limit_s", "patience_s")

STATES: Mapping[str, State] = {
    "": "completed", "completed": "completed", "pass": "completed", "passed": "completed",
    "failed": "failed", "fail": "failed", "node_fail": "failed", "out_of_memory": "failed",
    "cancelled": "cancelled", "canceled": "cancelled", "killed": "cancelled",
    "timeout": "timeout",
}  # fmt: skip
"""The states of published traces (Philly: Pass, Killed, Failed; Helios and Acme: Slurm's), in small letters."""

MOST_PROBLEMS = 10

NAME_LENGTH = 64


def read_csv_trace(path: Path) -> Trace:
    """The jobs of a CSV file.

    Raises:
        DataError: it cannot be read, or something in it is wrong; a line for each problem, with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise DataError(f"The trace {path} cannot be read: {problem.strerror}. Name a CSV file.") from None
    except UnicodeDecodeError as problem:
        raise DataError(f"The trace {path} is not UTF-8 (byte {problem.start}). Save it as UTF-8.") from None
    return csv_trace(text, str(path))


def csv_trace(text: str, name: str) -> Trace:
    """The jobs of a CSV text; `name` stands for it in messages.

    Raises:
        DataError: something in it is wrong.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[str] = []
    left_out: Counter[str] = Counter()
    try:
        columns = _columns(next(reader, []), name)
        jobs = list(_jobs(reader, columns, name, problems, left_out))
    except csv.Error as problem:
        raise DataError(f"{name}: line {reader.line_num}: it is no CSV: {problem}.") from None
    if problems:
        more = [f"{len(problems) - MOST_PROBLEMS} more lines are wrong."] if len(problems) > MOST_PROBLEMS else []
        raise DataError("\n".join([*problems[:MOST_PROBLEMS], *more]))
    if not jobs:
        raise DataError(f"{name} has no job that held GPUs or CPUs. Give a trace with jobs.")
    unused = [column for column in columns if column not in NEEDED + OPTIONAL]
    notes = [f"{count} jobs {why}" for why, count in left_out.items()]
    notes += [f"Columns that are not used: {', '.join(unused)}."] if unused else []
    return _begun_at_zero(jobs, name, notes)


def csv_text(trace: Trace) -> str:
    """A trace as CSV that `csv_trace` reads as the same jobs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(NEEDED + OPTIONAL)
    for job in trace.jobs:
        times = [_number_text(time) for time in (job.submit_s, job.duration_s)]
        ends = ["" if time is None else _number_text(time) for time in (job.limit_s, job.patience_s)]
        writer.writerow([*times, job.gpus, job.account, job.user, job.qos, job.cpus, job.state, *ends])
    return out.getvalue()


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _columns(header: list[str], name: str) -> list[str]:
    columns = [column.strip() for column in header]
    known = NEEDED + OPTIONAL
    if missing := [column for column in NEEDED if column not in columns]:
        found = f"The first line has {', '.join(columns)}." if any(columns) else "The file is empty."
        raise DataError(f"{name}: line 1: the column {missing[0]} is missing. {found} Needed are {', '.join(NEEDED)}.")
    for column in columns:
        near = difflib.get_close_matches(column, known, 1)
        if column not in known and near and near[0] not in columns:
            raise DataError(f"{name}: line 1: there is no column {column}. Did you mean {near[0]}?")
        if column in known and columns.count(column) > 1:
            raise DataError(f"{name}: line 1: the column {column} is there twice. Remove one of them.")
    return columns


def _jobs(
    reader: Reader, columns: list[str], name: str, problems: list[str], left_out: Counter[str]
) -> Iterator[TraceJob]:
    for row in reader:
        line = reader.line_num
        if not row:
            continue
        if len(row) != len(columns):
            problems.append(f"{name}: line {line}: there are {len(row)} fields, but {len(columns)} columns.")
            continue
        try:
            job = _job(dict(zip(columns, map(str.strip, row), strict=True)))
        except ValueError as problem:
            problems.append(f"{name}: line {line}: {problem}")
            continue
        if why := _nothing_to_replay(job):
            left_out[why] += 1
        else:
            yield job


def _job(row: Mapping[str, str]) -> TraceJob:
    gpus = _count(row, "gpus")
    user, account = row.get("user", ""), _name(row, "group")
    limit = row.get("limit_s", "")
    patience = row.get("patience_s", "")
    return TraceJob(
        number=0,
        submit_s=_seconds(row, "submit_s"),
        duration_s=_seconds(row, "duration_s"),
        gpus=gpus,
        cpus=_count(row, "cpus") if row.get("cpus") else max(1, gpus),
        user=_name(row, "user") if user else account,
        account=account,
        qos=_name(row, "qos") if row.get("qos") else "",
        state=_state(row.get("state", "")),
        limit_s=_seconds(row, "limit_s") if limit else None,
        patience_s=_seconds(row, "patience_s") if patience else None,
    )


def _nothing_to_replay(job: TraceJob) -> str:
    """Why a job is left out; empty if it is not."""
    if job.gpus + job.cpus == 0:
        return "had neither GPUs nor CPUs and are left out."
    if job.duration_s > 0 or (job.state == "cancelled" and job.patience_s is not None):
        return ""
    if job.state == "cancelled":
        return "were cancelled while they waited, nothing says when (patience_s), and are left out."
    return "ended at once (duration_s 0) and are left out."


def _seconds(row: Mapping[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        raise ValueError(f"{column} is {row[column]!r}, which is no number of seconds.") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{column} is {row[column]}. It must be 0 or more seconds.")
    return value


def _count(row: Mapping[str, str], column: str) -> int:
    text = row[column].removesuffix(".0")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{column} is {row[column]!r}. It must be a whole number, 0 or more.")
    return int(text)


def _name(row: Mapping[str, str], column: str) -> str:
    text = row[column]
    if not text or len(text) > NAME_LENGTH or not text.isprintable() or set(text) & set(" ,=|'\""):
        raise ValueError(f"{column} is {text!r}. It must be a name that Slurm takes: no spaces, commas, `=` or quotes.")
    return text


def _state(text: str) -> State:
    state = STATES.get(text.lower().partition(" by ")[0])  # CANCELLED by 1000
    if state is None:
        known = ", ".join(sorted({*STATES} - {""}))
        raise ValueError(f"state is {text!r}. It must be one of {known}.")
    return state


def _begun_at_zero(jobs: list[TraceJob], name: str, notes: list[str]) -> Trace:
    """The trace from the begin of its first day: times may be seconds since the epoch."""
    ordered = list(in_order(jobs))
    begin = ordered[0].submit_s // DAY * DAY
    if begin:
        ordered = [replace(job, submit_s=job.submit_s - begin) for job in ordered]
        notes.append(f"The trace begins at second {begin:.0f} of the file.")
    return Trace(name=name, length_s=_length(ordered[-1].submit_s), jobs=tuple(ordered), notes=tuple(notes))


def _length(last_s: float) -> float:
    """The period of a trace by its last submission: of one over days to the end of the hour, as it was cut out."""
    return math.ceil(last_s / HOUR) * HOUR if last_s > DAY else max(1.0, last_s)
