"""Objects, each fetched once into the cache, however many processes want it at the same time."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.data.cache.lease import only_one
from passingloop.data.gcs.stored import Stored, divided

if TYPE_CHECKING:
    from passingloop.data.gcs.objects import Objects  # imports gcsfs

log = logging.getLogger("passingloop")

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
        ConfigError, OSError: the cache cannot be written to.
        DataError, MissingError: see `Objects.fetch`.
    """
    copy = copy_of(one, cache_root)
    with only_one(copy, done=copy.exists, notice=log.info) as beside:
        if copy.exists():
            return
        with beside.open("wb") as file:
            objects.fetch(one, file)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(copy)
