"""What is written to the cache stays written, even if the power fails."""

from __future__ import annotations

import os
from pathlib import Path


def sync(folder: Path) -> None:
    """Wait until everything in `folder`, at any depth, is on the disk.

    Raises:
        OSError: it cannot be written.
    """
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
