"""A real want of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def narrow() -> Iterator[Path]:
    """A memory cgroup of 30 MB: the file that takes a process in."""
    group, limit = MEMORY / f"passingloop-{os.getpid()}", "memory.limit_in_bytes"
    if (MEMORY / "cgroup.controllers").exists() or not MEMORY.exists():  # version 2
        group, limit = MEMORY.parent / group.name, "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text("30M")
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    yield group / "cgroup.procs"
    for _ in range(50):
        try:
            return group.rmdir()
        except OSError:  # the one that was killed is still leaving
            time.sleep(0.1)
