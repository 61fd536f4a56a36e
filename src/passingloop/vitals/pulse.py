"""``pulse.json``: the progress of the running attempt. If its processes are killed, its end is recorded from it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass

from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Seconds

FILE_BYTES = 512
"""The file always has this length in bytes, so that one write replaces it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """The progress of an attempt."""

    attempt: int
    step: int
    """Optimizer steps done, over all attempts."""
    saved_step: int
    """The step of the newest checkpoint."""
    seconds: Seconds
    """How the attempt's time has been spent, as if it ended now."""


def write(run: RunDir, pulse: Pulse) -> None:
    """Rewrite the file. If the file system is full or does not answer, nothing is written and no error is raised."""
    with suppress(OSError):
        descriptor = os.open(run.pulse, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, json.dumps(asdict(pulse)).ljust(FILE_BYTES - 1).encode() + b"\n", 0)
        finally:
            os.close(descriptor)


def read(run: RunDir, attempt: int) -> Pulse | None:
    """The newest pulse, if it is one of `attempt`; else None."""
    try:
        content = json.loads(run.pulse.read_text())
        pulse = Pulse(**{**content, "seconds": Seconds(**content["seconds"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pulse if pulse.attempt == attempt else None
