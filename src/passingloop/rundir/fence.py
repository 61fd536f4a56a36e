"""Fencing: an attempt that is no longer the newest notices it, and writes nothing more into the run directory.

The lock of a run (`passingloop.rundir.lock`) is held by the launcher. Training processes may outlive it: on a node that
is cut off from Slurm, or where a file system has lost its locks. The ledger decides who may write: the newest attempt.
"""

from __future__ import annotations

import os
import time

from passingloop.errors import Superseded
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Start

PERIOD = 1.0
"""Seconds between two readings of the ledger by `Fence.is_superseded`."""


class Fence:
    """Tells a process of attempt `attempt` whether a newer attempt has started.

    Args:
        token: what tells this attempt from one that another launcher has started with the same number; None if it has
            none, because it was started by an earlier version.
    """

    def __init__(self, run: RunDir, attempt: int, token: str | None = None) -> None:
        self.attempt = attempt
        self._run, self._token = run, token
        self._ledger_file: tuple[int, int] | None = None
        """Inode and size of the ledger when it was read last: it only grows."""
        self._superseded_by: Start | None = None
        self._checked = 0.0

    def is_superseded(self) -> bool:
        """Whether a newer attempt has started. Looks once in `PERIOD`, so that it may be called in every step."""
        if time.monotonic() - self._checked > PERIOD:
            self._look()
        return self._superseded_by is not None

    def check(self) -> None:
        """To be called before anything is written into the run directory. Takes 10 µs on a local disk.

        Raises:
            Superseded: a newer attempt has started.
        """
        self._look()
        if self._superseded_by is not None:
            start = self._superseded_by
            raise Superseded(
                f"Attempt {start.attempt} of {self._run.path} has started on {', '.join(start.nodes)}, so attempt "
                f"{self.attempt} stops here and leaves the run to it."
            )

    def _look(self) -> None:
        self._checked = time.monotonic()
        if self._superseded_by is not None or not self._has_ledger_grown():
            return
        starts = ledger.read(self._run).events_of(Start)
        self._superseded_by = next((start for start in starts if self._supersedes(start)), None)

    def _supersedes(self, start: Start) -> bool:
        is_other = start.attempt == self.attempt and None not in (start.token, self._token)
        return start.attempt > self.attempt or (is_other and start.token != self._token)

    def _has_ledger_grown(self) -> bool:
        """Opened anew each time, which makes an NFS client ask the server for the size."""
        try:
            descriptor = os.open(self._run.attempts, os.O_RDONLY)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        before, self._ledger_file = self._ledger_file, (status.st_ino, status.st_size)
        return before != self._ledger_file
