"""When an entry of the cache was used last: pruning removes the least recently used first."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

HOUR = 3600.0

META = "meta.json"
"""In folders of tokens; written last."""


def record_use(path: Path) -> None:
    """Record that `path`, a file or a folder, is used now.

    Without permission to write there, the access time of its files stands in: file systems update it once a day
    (mount(8), relatime).
    """
    with suppress(OSError):
        os.utime(path)


def last_use(path: Path) -> float:
    """When it was made or marked, or one of its files was read, in seconds since the epoch."""
    files = [file for file in [path, *path.rglob("*")] if file.is_file() and not file.is_symlink()]
    return max(path.stat().st_mtime, *(file.stat().st_atime for file in files), 0.0)


class UsageRecorder:
    """Records the use of `paths` during a long run. `beat` may be called often."""

    def __init__(self, paths: Collection[Path]) -> None:
        self._paths, self._marked = paths, time.monotonic()

    def beat(self) -> None:
        """Record the use, once an hour at most."""
        if time.monotonic() - self._marked >= HOUR:
            self._marked = time.monotonic()
            for path in self._paths:
                record_use(path)
