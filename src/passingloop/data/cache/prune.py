"""Removes entries of the cache, the least recently used first, and none that is in use.

Everything in the cache can be made again, from the source. The exception are snapshots of a database: a run that has
begun goes on with the rows it began with, so they stay for a month after they were used last.
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
from passingloop.data.cache.lease_file import ABANDONED_SECONDS, remove, remove_abandoned
from passingloop.data.cache.usage import last_use
from passingloop.errors import ConfigError

DAY = 24 * 3600.0

Kind = Literal["tokens", "objects", "hub/files", "hub/tables", "snapshots"]
"""The folders of `cache_root`. What stands in one of them is removed as a whole."""

STAYS: dict[Kind, float] = {"tokens": DAY, "objects": DAY, "hub/files": DAY, "hub/tables": DAY, "snapshots": 30 * DAY}
"""Seconds after its last use in which it is not removed. Runs mark what they use when they begin, and every hour."""

LEFT = re.compile(r"\..*|.+\.(lease|building|pruned)-\w+")
"""Names of entries that are being built or removed."""

Outcome = Literal["removed", "in use", "other's"]

FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A complete entry of the cache."""

    path: Path
    kind: Kind
    bytes: int
    used: float
    """Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What was done."""

    removed: tuple[Entry, ...]
    debris: int
    """Bytes that builders had left which were killed."""
    left: tuple[Entry, ...]
    in_use: tuple[Entry, ...]
    """Of those that are left, the ones that were used too lately to be removed."""
    others: tuple[Entry, ...]
    """Of those that are left, the ones that would have been removed, but are other users'."""


def size_of(text: str) -> int:
    """Bytes in ``50GB``, ``800M`` or ``1.5T``.

    Raises:
        ConfigError: it is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise ConfigError(f"{text} is no size. Give one such as 50GB, 800MB or 1.5TB.")
    return round(float(match[1]) * FACTORS[match[2].upper()])


def prune(cache_root: Path, keep: int, *, snapshots_too: bool = False, now: float | None = None) -> Pruned:
    """Remove debris, and what was not used for longest, until at most `keep` bytes are left.

    Args:
        snapshots_too: treat snapshots as all else.
        now: seconds since the epoch; the time it is without.
    """
    now = time.time() if now is None else now
    debris = sum(_remove_debris(cache_root / kind, now) for kind in STAYS)
    entries = sorted((entry for kind in STAYS for entry in _entries(cache_root, kind)), key=lambda entry: entry.used)
    too_much = sum(entry.bytes for entry in entries) - keep
    became: dict[Entry, Outcome] = {}
    for entry in entries:
        if too_much <= 0:
            break
        lately = now - entry.used < (DAY if snapshots_too else STAYS[entry.kind])
        became[entry] = "in use" if lately else _remove_entry(entry)
        too_much -= entry.bytes if became[entry] == "removed" else 0
    _prune_index(cache_root)
    remove_stale_digests(cache_root)
    return Pruned(
        removed=tuple(entry for entry in entries if became.get(entry) == "removed"),
        debris=debris,
        left=tuple(entry for entry in entries if became.get(entry) != "removed"),
        in_use=tuple(entry for entry in entries if became.get(entry) == "in use"),
        others=tuple(entry for entry in entries if became.get(entry) == "other's"),
    )


def _entries(cache_root: Path, kind: Kind) -> Iterator[Entry]:
    for path in _contents(cache_root / kind):
        if not LEFT.fullmatch(path.name):
            with suppress(OSError):  # someone else removes it just now, or it is closed to us
                yield Entry(path=path, kind=kind, bytes=_bytes(path), used=last_use(path))


def _remove_entry(entry: Entry) -> Outcome:
    """Rename it, so that nobody finds half of it, and remove it, unless someone has begun to use it meanwhile."""
    aside = entry.path.with_name(f"{entry.path.name}.pruned-{secrets.token_hex(4)}")
    if entry.path.is_dir() and not os.access(entry.path, os.W_OK, effective_ids=True):
        return "other's"  # it could be renamed, but not emptied
    try:
        entry.path.rename(aside)
    except FileNotFoundError:
        return "removed"  # by someone else
    except OSError:
        return "other's"
    if last_use(aside) > entry.used:
        with suppress(OSError):  # it has been made anew by now
            aside.rename(entry.path)
            return "in use"
    remove(aside)
    return "removed"


def _prune_index(cache_root: Path) -> None:
    """Remove entries of the index (`passingloop.data.cache.index`) whose tokens no longer exist."""
    for path in _contents(cache_root / "index"):
        with suppress(OSError, ValueError):  # another user's
            if not all((cache_root / "tokens" / name).exists() for name in json.loads(path.read_text())):
                path.unlink()


def _remove_debris(folder: Path, now: float) -> int:
    """Remove unfinished entries whose builder is dead. Returns their bytes."""
    unfinished = [path for path in _contents(folder) if LEFT.fullmatch(path.name)]
    before = sum(map(_bytes, unfinished))
    for path in unfinished:
        with suppress(OSError):  # it is removed, or finished, just now, or someone else's
            if path.suffix.startswith(".lease-"):
                remove_abandoned(path, now)
            elif now - max(file.lstat().st_ctime for file in [path, *path.rglob("*")]) > ABANDONED_SECONDS:
                remove(path)
    return before - sum(map(_bytes, unfinished))


def _contents(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _bytes(path: Path) -> int:
    size = 0
    for file in [path, *path.rglob("*")]:
        with suppress(OSError):
            size += 0 if file.is_dir() else file.lstat().st_size  # a link to a file counts where the file does
    return size
