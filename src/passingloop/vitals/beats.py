"""Where each process of an attempt stands: a small file for each, there while the attempt runs.

They tell a supervisor on another node whether the processes go forward, and which of them stands behind. To ask for the
stacks of all, it writes into one more file, that has been there, empty, since the start of the attempt: on NFS a file
that is opened is looked up anew, while one that is new may stay unseen for half a minute.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from passingloop.rundir.directory import RunDir

FILE_BYTES = 512
"""Each file always has this length in bytes, so that one write replaces it."""

LONGEST_PERIOD, SHORTEST_PERIOD, PERIODS = 10.0, 0.2, 20
"""Seconds between two beats, and how many there are at least in the time after which an attempt counts as hung."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """Where a process stands."""

    rank: int
    node: str
    process: int
    """Its process id."""
    doing: str
    step: int
    place: int
    """See `passingloop.vitals.marks.Marks`, as for `doing` and `step`."""
    signs: int
    """Another number than before shows that it goes forward."""
    count: int
    """Of beats. If it stays the same, the process does not run any more, or not Python."""
    stacks: bool = False
    """Whether it has written its stacks, as it was asked to."""


def own_node() -> str:
    """The name of this node, in Slurm's words where there are any."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def period(stuck_seconds: float) -> float:
    """Seconds between two beats, where an attempt counts as hung after `stuck_seconds`."""
    return min(LONGEST_PERIOD, max(SHORTEST_PERIOD, stuck_seconds / PERIODS))


def write(run: RunDir, attempt: int, beat: Beat) -> None:
    """Rewrite the file of a process. If the file system is full or does not answer, nothing is written."""
    with suppress(OSError):
        descriptor = os.open(_file(run, attempt, beat.rank), os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, json.dumps(asdict(beat)).ljust(FILE_BYTES - 1).encode() + b"\n", 0)
        finally:
            os.close(descriptor)


def read(run: RunDir, attempt: int, rank: int) -> Beat | None:
    """Where a process stands; None if it has not written that yet, or just does."""
    try:
        return Beat(**json.loads(_file(run, attempt, rank).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def prepare_request(run: RunDir, attempt: int) -> None:
    """Make the file with which the stacks of all processes can be asked for."""
    _request(run, attempt).write_bytes(b"")


def request_stacks(run: RunDir, attempt: int, reason: str) -> None:
    """Ask all processes for their stacks, which they write into their logs below `reason`, a sentence."""
    with suppress(OSError):
        _request(run, attempt).write_text(reason, encoding="utf-8")


def requested_stacks(run: RunDir, attempt: int) -> str:
    """The reason for which the stacks are asked for; empty if they are not."""
    try:
        return _request(run, attempt).read_text(encoding="utf-8")
    except OSError:
        return ""


def remove(run: RunDir, attempt: int) -> None:
    """Remove the files of an attempt that has ended."""
    name = _request(run, attempt).name.replace("hung", "*")
    for path in run.logs.glob(name):
        with suppress(OSError):
            path.unlink()


def _file(run: RunDir, attempt: int, rank: int) -> Path:
    return run.logs / f"attempt-{attempt:04d}-rank-{rank:04d}.beat"


def _request(run: RunDir, attempt: int) -> Path:
    return run.logs / f"attempt-{attempt:04d}-hung.beat"
