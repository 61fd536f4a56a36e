"""Objects, each fetched once into the cache, however many processes want it at the same time."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.data.gcs_stored import Stored, divided

if TYPE_CHECKING:
    from passingloop.data.gcs_objects import Objects  # imports gcsfs

LONGEST = 40
"""Characters of an object's name that its copy's name ends in."""


def copy_of(one: Stored, cache_root: Path) -> Path:
    """Where the copy of exactly this object is, or would be. Its ending is that of the object's format."""
    key = hashlib.sha256("\0".join([one.url, one.generation, one.digest]).encode()).hexdigest()[:32]
    name = divided(one.url)[1].rpartition("/")[2][-LONGEST:]
    return cache_root / "objects" / f"{key}-{name}{'.gz' if one.gzipped else ''}"


def fetch(one: Stored, objects: Objects, cache_root: Path) -> None:
    """Have the copy in the cache: written beside, synced to the disk, renamed.

    Raises:
        DataError, MissingError: see `Objects.fetch`.
        OSError: the cache cannot be written to.
    """
    copy = copy_of(one, cache_root)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(copy.with_name(f".{copy.name}.lock")):
        if copy.exists():
            return
        beside = copy.with_name(f".{copy.name}.part")
        try:
            with beside.open("wb") as file:
                objects.fetch(one, file)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(copy)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Wait for, then hold, the lock file: it is free again when its holder has ended, in whatever way."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)  # less the umask
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
