"""Objects as Google Cloud Storage describes them, and their copies in the cache, each fetched once.

However many processes want the same object at the same time, one of them fetches it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from passingloop.data.cache.lease import exclusive_build

SCHEME = "gs://"

LONGEST = 40
"""Characters of an object's name that its copy's name ends in."""

log = logging.getLogger("passingloop")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object as it was when Google Cloud Storage was asked."""

    url: str
    size: int
    """Bytes as they are stored."""
    generation: str
    """Another one for each time the object is written."""
    digest: str
    """`md5:…` or, of objects that were put together from others, `crc32c:…`; base64, over the bytes as stored."""
    gzipped: bool
    """Kept compressed under a name that does not tell (`Content-Encoding: gzip`)."""

    @property
    def path(self) -> str:
        """Bucket and name, as gcsfs writes them."""
        return self.url.removeprefix(SCHEME)


def stored_object(resource: Mapping[str, Any]) -> Stored:
    """From an object resource whose name has the bucket in front, as gcsfs gives it.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
    """
    md5 = resource.get("md5Hash")
    return Stored(
        url=SCHEME + resource["name"],
        size=int(resource["size"]),
        generation=str(resource["generation"]),
        digest=f"md5:{md5}" if md5 else f"crc32c:{resource['crc32c']}",
        gzipped=resource.get("contentEncoding") == "gzip" and not resource["name"].endswith(".gz"),
    )


def bucket_and_name(url: str) -> tuple[str, str]:
    """Bucket and name."""
    bucket, _, name = url.removeprefix(SCHEME).partition("/")
    return bucket, name


def copy_of(stored: Stored, cache_root: Path) -> Path:
    """Where the copy of exactly this object is, or would be. Its ending is that of the object's format."""
    key = hashlib.sha256("\0".join([stored.url, stored.generation, stored.digest]).encode()).hexdigest()[:32]
    name = bucket_and_name(stored.url)[1].rpartition("/")[2][-LONGEST:]
    return cache_root / "objects" / f"{key}-{name}{'.gz' if stored.gzipped else ''}"


def fetch(stored: Stored, download: Callable[[Stored, BinaryIO], None], cache_root: Path) -> None:
    """Have the copy in the cache: written beside, synced to the disk, renamed.

    Args:
        download: writes the object's bytes into a file (`Objects.fetch`).

    Raises:
        ConfigError, OSError: the cache cannot be written to.
        DataError, MissingError: what `download` raises.
    """
    copy = copy_of(stored, cache_root)
    with exclusive_build(copy, done=copy.exists, notice=log.info) as beside:
        if copy.exists():
            return
        with beside.open("wb") as file:
            download(stored, file)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(copy)
