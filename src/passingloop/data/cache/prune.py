"""Prunes the cache: removes its least recently used entries, and none that is in use.

Cache entries can be made again from their source, except snapshots of databases: a run continues with the rows it began
with. Snapshots are kept for 30 days after their last use.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passingloop.data.cache.digests import remove_stale_digests
from passingloop.data.cache.last_use import last_use
from passingloop.data.cache.lease_file import ABANDONED_SECONDS, remove_if_abandoned, remove_path
from passingloop.errors import ConfigError

DAY = 24 * 3600.0

Kind = Literal["tokens", "objects", "hub/files", "hub/tables", "snapshots"]
"""The folders of `cache_root` that hold entries. An entry is removed as a whole."""

MIN_AGE_SECONDS: dict[Kind, float] = {
    "tokens": DAY,
    "objects": DAY,
    "hub/files": DAY,
    "hub/tables": DAY,
    "snapshots": 30 * DAY,
}
"""Seconds after its last use in which an entry is kept. Runs record the use at their start and every hour."""

UNFINISHED_NAME = re.compile(r"\..*|.+\.(lease|building|pruned)-\w+")
"""Names of files and folders that are not complete entries: they are being built or removed."""

Outcome = Literal["removed", "in use", "other's"]

UNIT_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A complete entry of the cache."""

    path: Path
    kind: Kind
    bytes: int
    used: float
    """Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneReport:
    """What was removed and what was kept."""

    removed: tuple[Entry, ...]
    debris: int
    """Bytes of unfinished entries of killed builders."""
    left: tuple[Entry, ...]
    """The entries that were kept."""
    in_use: tuple[Entry, ...]
    """Those of `left` that were used too recently to be removed."""
    others: tuple[Entry, ...]
    """Those of `left` that were to be removed, but belong to other users."""


def parse_size(text: str) -> int:
    """The bytes of a size such as ``50GB``, ``800M`` or ``1.5T``.

    Raises:
        ConfigError: it is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise ConfigError(f"{text} is no size. Give one such as 50GB, 800MB or 1.5TB.")
    return round(float(match[1]) * UNIT_BYTES[match[2].upper()])


def prune_cache(cache_root: Path, keep: int, *, snapshots_too: bool = False, now: float | None = None) -> PruneReport:
    """Remove unfinished entries, and the least recently used entries until at most `keep` bytes are left.

    Args:
        snapshots_too: remove snapshots after a day, as other entries.
        now: the current time in seconds since the epoch; None reads the clock.
    """
    now = time.time() if now is None else now
    debris = sum(_remove_debris(cache_root / kind, now) for kind in MIN_AGE_SECONDS)
    entries = sorted(
        (entry for kind in MIN_AGE_SECONDS for entry in _entries(cache_root, kind)), key=lambda entry: entry.used
    )
    excess = sum(entry.bytes for entry in entries) - keep
    outcomes: dict[Entry, Outcome] = {}
    for entry in entries:
        if excess <= 0:
            break
        used_recently = now - entry.used < (DAY if snapshots_too else MIN_AGE_SECONDS[entry.kind])
        outcomes[entry] = "in use" if used_recently else _remove_entry(entry)
        excess -= entry.bytes if outcomes[entry] == "removed" else 0
    _prune_index(cache_root)
    remove_stale_digests(cache_root)
    return PruneReport(
        removed=tuple(entry for entry in entries if outcomes.get(entry) == "removed"),
        debris=debris,
        left=tuple(entry for entry in entries if outcomes.get(entry) != "removed"),
        in_use=tuple(entry for entry in entries if outcomes.get(entry) == "in use"),
        others=tuple(entry for entry in entries if outcomes.get(entry) == "other's"),
    )


def _entries(cache_root: Path, kind: Kind) -> Iterator[Entry]:
    for path in _folder_entries(cache_root / kind):
        if not UNFINISHED_NAME.fullmatch(path.name):
            with suppress(OSError):  # it is being removed, or may not be read
                yield Entry(path=path, kind=kind, bytes=_size(path), used=last_use(path))


def _remove_entry(entry: Entry) -> Outcome:
    """Remove an entry, unless it is used meanwhile. It is renamed first, so that no process reads a part of it."""
    renamed = entry.path.with_name(f"{entry.path.name}.pruned-{secrets.token_hex(4)}")
    if entry.path.is_dir() and not os.access(entry.path, os.W_OK, effective_ids=True):
        return "other's"  # it could be renamed, but its files could not be removed
    try:
        entry.path.rename(renamed)
    except FileNotFoundError:
        return "removed"  # by another process
    except OSError:
        return "other's"
    if last_use(renamed) > entry.used:
        with suppress(OSError):  # it has been built again meanwhile
            renamed.rename(entry.path)
            return "in use"
    remove_path(renamed)
    return "removed"


def _prune_index(cache_root: Path) -> None:
    """Remove entries of the index (`passingloop.data.cache.index`) whose tokens no longer exist."""
    for path in _folder_entries(cache_root / "index"):
        with suppress(OSError, ValueError):  # another user's
            if not all((cache_root / "tokens" / name).exists() for name in json.loads(path.read_text())):
                path.unlink()


def _remove_debris(folder: Path, now: float) -> int:
    """Remove unfinished entries of dead builders; returns their bytes."""
    unfinished = [path for path in _folder_entries(folder) if UNFINISHED_NAME.fullmatch(path.name)]
    before = sum(map(_size, unfinished))
    for path in unfinished:
        with suppress(OSError):  # it was removed or finished meanwhile, or is another user's
            if path.suffix.startswith(".lease-"):
                remove_if_abandoned(path, now)
            elif now - max(file.lstat().st_ctime for file in [path, *path.rglob("*")]) > ABANDONED_SECONDS:
                remove_path(path)
    return before - sum(map(_size, unfinished))


def _folder_entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _size(path: Path) -> int:
    size = 0
    for file in [path, *path.rglob("*")]:
        with suppress(OSError):
            size += 0 if file.is_dir() else file.lstat().st_size  # of a link not its target
    return size
