"""Why a process of an attempt failed, in its own words: in a file of its own, since several may fail at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field

from passingloop.files import read_json, write_json
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import Cause, Memory
from passingloop.rundir.record import now


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One process's last words."""

    step: int
    """Steps that were done."""
    cause: Cause
    message: str
    memory: Memory | None = None
    tokens: int | None = None
    """In the forward pass that was too much for the device's memory."""
    time: str = field(default_factory=now)


def write(run: RunDir, attempt: int, rank: int, failure: Failure) -> None:
    """Leave it behind, if that is possible."""
    with suppress(OSError):
        write_json(run.failure(attempt, rank), asdict(failure), durable=False)


def first(run: RunDir, attempt: int) -> Failure | None:
    """The one that came first: the others usually fail because a process is gone that they waited for."""
    pattern = run.failure(attempt, 0).name.replace("rank-0000", "rank-*")
    found = [Failure(**read_json(path)) for path in run.logs.glob(pattern)]
    return min(found, key=lambda failure: failure.time, default=None)
