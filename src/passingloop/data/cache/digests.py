"""SHA-256 of files. The digest of a large file is kept in `cache_root`, since every attempt needs it.

A file counts as unchanged while its size, its inode and the times of its last writing and last change are those that
were remembered. The time of a change cannot be set back by a program. A file that was written within the last seconds
is not remembered: another write could fall into the same tick of the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from passingloop import files

LARGE = 16 << 20
"""Bytes from which on a digest is kept: 16 MiB are hashed in 0.02 to 0.05 s."""

SETTLED = 10.0
"""Seconds that must have passed since a file was written. Clocks of file servers differ by less."""


def sha256(path: Path, cache_root: Path | None) -> str:
    """The SHA-256 of the bytes of `path`; without a `cache_root` it is not remembered.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    if cache_root is None or stat.st_size < LARGE:
        return files.sha256(path)
    # Paths differ in length, and in characters that a name may not have.
    memory = cache_root / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    known = _read_memory(memory)
    state = _state(stat)
    if {name: known.get(name) for name in state} == state:
        return str(known["sha256"])
    began = time.time()
    digest = files.sha256(path)
    settled = max(stat.st_mtime, stat.st_ctime) < began - SETTLED
    if settled and _state(path.stat()) == state:
        _write_memory(memory, {"path": os.fspath(path), **state, "sha256": digest})
    return digest


def remove_stale_digests(cache_root: Path) -> None:
    """Remove the digests of files that no longer exist."""
    for memory in (cache_root / "digests").glob("*.json"):
        with suppress(OSError):  # another user's memory, or file
            if not Path(_read_memory(memory).get("path", "")).is_file():
                memory.unlink()


def _state(stat: os.stat_result) -> dict[str, int]:
    return {
        "size": stat.st_size,
        "inode": stat.st_ino,
        "written_ns": stat.st_mtime_ns,
        "changed_ns": stat.st_ctime_ns,
    }


def _read_memory(memory: Path) -> dict[str, Any]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write_memory(memory: Path, known: dict[str, Any]) -> None:
    """Keep a digest. If it cannot be written, the file is hashed again next time."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(memory, json.dumps(known), durable=False)
    except OSError:
        return
