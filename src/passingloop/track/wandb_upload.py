"""Uploads a run to W&B from its directory, whole: what W&B has of it is replaced.

The history is made from ``metrics.jsonl``, where steps that were trained again appear once, as they were trained last,
and from the samples of the nodes. So it does not matter how many attempts there were, which of them were offline, and
whether an upload was interrupted: the same upload again leaves the same in W&B.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from passingloop.config.running import TrackingConfig
from passingloop.errors import MissingError, RunBusy
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End
from passingloop.rundir.samples import read_samples
from passingloop.track import wandb_child
from passingloop.track.line_process import LineProcess, Message
from passingloop.track.metrics_file import Row, latest_rows, named_values, read_metrics
from passingloop.track.node_metrics import PERIOD, created_time, metric_rows
from passingloop.track.upload_marks import mark_uploaded, wandb_files
from passingloop.track.wandb_identity import Identity
from passingloop.track.wandb_run import order_for, start_child

SECONDS = 600.0
"""Time limit for W&B to take a run."""

BACKLOG = 2**20
"""Bytes of rows that wait for W&B's process, before more of them are made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A run that W&B has."""

    address: str
    rows: int
    """Of its history."""


def upload_run(
    run: RunDir,
    config: TrackingConfig,
    identity: Identity,
    summary: Mapping[str, float | str],
    *,
    seconds: float = SECONDS,
) -> Upload:
    """Upload `run`, and keep in its directory that W&B has it.

    Raises:
        MissingError: W&B is not to be had: there is no key, or the host does not answer, or refuses, or is too slow.
        RunBusy: another process uploads the run.
    """
    with _alone(run), tempfile.TemporaryDirectory(prefix="passingloop-wandb-") as scratch:
        names = list(wandb_files(run))  # before the metrics are read: what comes later is uploaded another time
        history = ledger.read(run)
        rows = history_rows(run)
        order = order_for("upload", config, identity, run.path, history.next_attempt - 1, finish_seconds=seconds)
        order |= {"files": scratch, "rows": len(rows)}
        process = start_child(wandb_child.__file__, Path(scratch), run=run.path)
        try:
            address = _upload(process, order, rows, summary, _state(history), seconds)
        finally:
            process.kill()
        mark_uploaded(run, names, address=address, rows=len(rows))
    return Upload(address=address, rows=len(rows))


def history_rows(run: RunDir) -> list[Row]:
    """What W&B's history of the run consists of, by time."""
    rows = [_metrics_row(row) for row in latest_rows(read_metrics(run.metrics))]
    created = created_time(run)
    for number, attempt in sorted(_samples_by_attempt(run).items()):
        found = metric_rows(attempt, created)
        rows += [{"_timestamp": (period + 1) * PERIOD, "attempt": number, **row} for period, row in found]
    return sorted(rows, key=lambda row: float(row["_timestamp"]))


def _samples_by_attempt(run: RunDir) -> dict[int, list[Any]]:
    attempts: dict[int, list[Any]] = {}
    for samples in read_samples(run):
        attempts.setdefault(samples.attempt, []).append(samples)
    return attempts


def _metrics_row(row: Row) -> Row:
    timestamp = datetime.fromisoformat(row["time"]).timestamp()
    return {"_timestamp": timestamp, "attempt": row["attempt"], wandb_child.STEP: row["step"], **named_values(row)}


def _state(history: ledger.Ledger) -> str:
    """Why the run's newest attempt ended, for `wandb_child`."""
    ends = history.events_of(End)
    return ends[-1].cause if ends else "crash"


def _upload(
    process: LineProcess,
    order: wandb_child.Order,
    rows: list[Row],
    summary: Mapping[str, float | str],
    state: str,
    seconds: float,
) -> str:
    """Send everything. Returns the run's URL.

    Raises:
        MissingError: W&B has not taken it.
    """
    messages: list[Message] = []
    process.send(order)
    for row in rows:
        process.send({"log": row})
        while process.unsent > BACKLOG and not process.has_ended:
            messages += process.remaining_messages(0.05)
    process.send({"summary": dict(summary)})
    process.send({"finish": state})
    messages += process.remaining_messages(seconds + wandb_child.INIT_SECONDS + wandb_child.HISTORY_SECONDS)
    said: Message = {name: text for message in messages for name, text in message.items()}
    if "refused" in said:
        raise MissingError(f"W&B cannot be used: {said['refused']}. {remedy(str(said['refused']))}")
    if "uploaded" not in said:
        raise MissingError(
            f"W&B has not taken everything within {seconds:g} s, or its client has ended before. Run the same command "
            "again: it uploads the run anew, and nothing appears twice."
        )
    return str(said["address"])


def remedy(reason: str) -> str:
    """What to do where W&B cannot be used for `reason`."""
    if "key" in reason.lower():
        return "Set WANDB_API_KEY, or run `wandb login`, and then the same command again."
    return "Run the same command again when it can be reached."


@contextmanager
def _alone(run: RunDir) -> Iterator[None]:
    """A context in which no other process on a file system with locks uploads the run.

    Raises:
        RunBusy: another one does.
    """
    descriptor = os.open(run.path / "wandb" / "upload.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunBusy(f"Another process uploads {run.path} to W&B already.") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)
