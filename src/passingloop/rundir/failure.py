"""Why a process of an attempt failed, as it wrote it: each process into its own file, as several may fail at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field

from passingloop.files import read_json, write_json
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Cause, Memory
from passingloop.rundir.record import now


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why one process failed."""

    step: int
    """Steps that were done."""
    cause: Cause
    message: str
    memory: Memory | None = None
    tokens: int | None = None
    """In the forward pass that was too much for the device's memory."""
    time: str = field(default_factory=now)


def write(run: RunDir, attempt: int, rank: int, failure: Failure) -> None:
    """Write it for the one that writes the attempt's end. A file system that is full or does not answer is no error."""
    with suppress(OSError):
        write_json(run.failure(attempt, rank), asdict(failure), durable=False)


def read_first(run: RunDir, attempt: int) -> Failure | None:
    """The failure that came first: the others usually fail because they wait for a process that has failed.

    None if no process of `attempt` has written one.
    """
    pattern = run.failure(attempt, 0).name.replace("rank-0000", "rank-*")
    failures = [Failure(**read_json(path)) for path in run.logs.glob(pattern)]
    return min(failures, key=lambda failure: failure.time, default=None)
