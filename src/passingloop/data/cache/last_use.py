"""The time at which a cache entry was last used, by which pruning chooses what to remove."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

HOUR = 3600.0

META_FILE = "meta.json"
"""The file in a folder of tokens that describes them; it is written last."""


def record_use(path: Path) -> None:
    """Set the modification time of `path`, a file or folder, to now.

    Without permission for that, the access time of its files has to do, which file systems update once a day (mount(8),
    relatime).
    """
    with suppress(OSError):
        os.utime(path)


def last_use(path: Path) -> float:
    """The latest of its modification time and its files' access times, in seconds since the epoch."""
    files = [file for file in [path, *path.rglob("*")] if file.is_file() and not file.is_symlink()]
    return max(path.stat().st_mtime, *(file.stat().st_atime for file in files), 0.0)


class UsageRecorder:
    """Records the use of `paths` every hour during a run. `beat` is called more often."""

    def __init__(self, paths: Collection[Path]) -> None:
        self._paths, self._marked = paths, time.monotonic()

    def beat(self) -> None:
        """Record the use, unless it was recorded within the last hour."""
        if time.monotonic() - self._marked >= HOUR:
            self._marked = time.monotonic()
            for path in self._paths:
                record_use(path)
