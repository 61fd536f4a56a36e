"""Copies of objects in the cache. Each object is downloaded once, by one of the processes that need it at a time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from passingloop.data.cache.lease import exclusive_build
from passingloop.files import publish_file

SCHEME = "gs://"

MAX_NAME_LENGTH = 40
"""Characters at the end of an object's name that are kept in the name of its copy."""

log = logging.getLogger("passingloop")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """An object's metadata, as Google Cloud Storage gave them."""

    url: str
    size: int
    """Bytes, as stored (perhaps compressed)."""
    generation: str
    """A number that changes whenever the object is written."""
    digest: str
    """Checksum of the bytes as stored, base64: `md5:…`, or `crc32c:…` for an object composed of several others."""
    gzipped: bool
    """Whether it is stored compressed (`Content-Encoding: gzip`) without .gz in its name."""

    @property
    def path(self) -> str:
        """Bucket and name, as gcsfs takes them."""
        return self.url.removeprefix(SCHEME)


def parse_object(resource: Mapping[str, Any]) -> StoredObject:
    """Parse an object resource as gcsfs returns it, with the bucket before the name.

    Source: https://cloud.google.com/storage/docs/json_api/v1/objects#resource
    """
    md5 = resource.get("md5Hash")
    return StoredObject(
        url=SCHEME + resource["name"],
        size=int(resource["size"]),
        generation=str(resource["generation"]),
        digest=f"md5:{md5}" if md5 else f"crc32c:{resource['crc32c']}",
        gzipped=resource.get("contentEncoding") == "gzip" and not resource["name"].endswith(".gz"),
    )


def bucket_and_name(url: str) -> tuple[str, str]:
    """The bucket and the object's name in ``gs://bucket/name``."""
    bucket, _, name = url.removeprefix(SCHEME).partition("/")
    return bucket, name


def copy_path(stored: StoredObject, cache_root: Path) -> Path:
    """The path of the copy of this generation of the object. It ends in the suffix of the object's format."""
    key = hashlib.sha256("\0".join([stored.url, stored.generation, stored.digest]).encode()).hexdigest()[:32]
    name = bucket_and_name(stored.url)[1].rpartition("/")[2][-MAX_NAME_LENGTH:]
    return cache_root / "objects" / f"{key}-{name}{'.gz' if stored.gzipped else ''}"


def fetch_copy(stored: StoredObject, download: Callable[[StoredObject, BinaryIO], None], cache_root: Path) -> None:
    """Put a copy of the object into the cache, unless there is one.

    Args:
        download: writes the object's bytes into a file; see `Objects.download`.

    Raises:
        ConfigError, OSError: the cache cannot be written to.
        DataError, MissingError: what `download` raises.
    """
    copy = copy_path(stored, cache_root)
    with exclusive_build(copy, done=copy.exists, notice=log.info) as temporary:
        if copy.exists():
            return
        with temporary.open("wb") as file:
            download(stored, file)
        publish_file(temporary, copy)
