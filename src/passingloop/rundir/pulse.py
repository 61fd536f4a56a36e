"""``pulse.json``: how far the attempt that runs has come. Its end is written from it if its processes are killed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass

from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import Seconds

ROOM = 512
"""Bytes: the file is always as long, so that it is replaced by a single write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """One attempt at one moment."""

    attempt: int
    step: int
    """Steps that are done, over all attempts."""
    saved_step: int
    """Of these, how many the newest checkpoint has."""
    seconds: Seconds
    """Where the attempt's time went, if it ended now."""


def write(run: RunDir, pulse: Pulse) -> None:
    """Replace the content of the file. A file system that is full or does not answer costs this pulse, not the run."""
    with suppress(OSError):
        descriptor = os.open(run.pulse, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, json.dumps(asdict(pulse)).ljust(ROOM - 1).encode() + b"\n", 0)
        finally:
            os.close(descriptor)


def read(run: RunDir, attempt: int) -> Pulse | None:
    """The newest pulse of `attempt`; None if it has written none, or another attempt has written one since."""
    try:
        content = json.loads(run.pulse.read_text())
        pulse = Pulse(**{**content, "seconds": Seconds(**content["seconds"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pulse if pulse.attempt == attempt else None
