"""What slurmctld's log says about jobs, as it is written. Pure but for reading the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

Event = Literal["allocated", "over"]

LINES: tuple[tuple[Event, re.Pattern[bytes]], ...] = (
    ("allocated", re.compile(rb"(?:Allocate|Started) JobId=(\d+)")),
    (
        "over",
        re.compile(rb"_job_complete: JobId=(\d+) done|[Rr]equeu(?:ed|ing) JobId=(\d+)|JobId=(\d+) has been requeued"),
    ),
)
"""As Slurm from 22.05 writes them at the level info."""


class ControllerLog:
    """The events since the last look."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    def events(self) -> Iterator[tuple[Event, int]]:
        """What happened, and the job's id."""
        new = self._file.read()
        if not new:
            return
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            yield from events_in(line)

    def close(self) -> None:
        self._file.close()


def events_in(line: bytes) -> Iterator[tuple[Event, int]]:
    """What one line says."""
    for event, pattern in LINES:
        if found := pattern.search(line):
            yield event, int(next(group for group in found.groups() if group))
