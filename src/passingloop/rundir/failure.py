"""Why a process of an attempt failed. Each process writes a file of its own, as several may fail at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field

from passingloop.files import read_json, write_json
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, Memory
from passingloop.rundir.record import current_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The failure of one process."""

    step: int
    """Optimizer steps done, over all attempts."""
    cause: Cause
    message: str
    memory: Memory | None = None
    tokens: int | None = None
    """Tokens in the forward pass that ran out of device memory."""
    time: str = field(default_factory=current_time)


def write(run: RunDir, attempt: int, rank: int, failure: Failure) -> None:
    """Write the file. A file system that is full or does not answer is no error."""
    with suppress(OSError):
        write_json(run.failure(attempt, rank), asdict(failure), durable=False)


def read_first(run: RunDir, attempt: int) -> Failure | None:
    """The earliest failure in `attempt`; None if there is none.

    Later ones are usually consequences: processes that wait in a collective for a process that has failed.
    """
    pattern = run.failure(attempt, 0).name.replace("rank-0000", "rank-*")
    failures = [Failure(**read_json(path)) for path in run.logs.glob(pattern)]
    return min(failures, key=lambda failure: failure.time, default=None)
