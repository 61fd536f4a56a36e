"""SHA-256 of files. The digests of large files are stored in `cache_root`, because every attempt needs them.

A stored digest is used while the file's size, inode, modification time and change time (ctime) are the same. Programs
cannot set the ctime back. The digest of a file that was written within the last seconds is not stored, because another
write could have the same time stamps.
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

LARGE_BYTES = 16 << 20
"""Bytes from which on a digest is stored: hashing 16 MiB takes 0.02 to 0.05 s."""

MIN_AGE_SECONDS = 10.0
"""Seconds since a file's last change before its digest is stored; more than clocks of file servers differ by."""


def file_sha256(path: Path, cache_root: Path | None) -> str:
    """The SHA-256 of the bytes of `path`; without a `cache_root` it is not stored.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    if cache_root is None or stat.st_size < LARGE_BYTES:
        return files.sha256(path)
    # Named by a hash, since a path may be longer than a file name can be, and has slashes.
    entry = cache_root / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    content = _read_entry(entry)
    state = _file_state(stat)
    if {name: content.get(name) for name in state} == state:
        return str(content["sha256"])
    start = time.time()
    digest = files.sha256(path)
    is_old_enough = max(stat.st_mtime, stat.st_ctime) < start - MIN_AGE_SECONDS
    if is_old_enough and _file_state(path.stat()) == state:
        _write_entry(entry, {"path": os.fspath(path), **state, "sha256": digest})
    return digest


def remove_stale_digests(cache_root: Path) -> None:
    """Remove the stored digests of files that no longer exist."""
    for entry in (cache_root / "digests").glob("*.json"):
        with suppress(OSError):  # another user's entry
            if not Path(_read_entry(entry).get("path", "")).is_file():
                entry.unlink()


def _file_state(stat: os.stat_result) -> dict[str, int]:
    return {
        "size": stat.st_size,
        "inode": stat.st_ino,
        "written_ns": stat.st_mtime_ns,
        "changed_ns": stat.st_ctime_ns,
    }


def _read_entry(entry: Path) -> dict[str, Any]:
    try:
        content = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_entry(entry: Path, content: dict[str, Any]) -> None:
    """Store a digest. If that fails, the file is hashed again next time."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(entry, json.dumps(content), durable=False)
    except OSError:
        return
