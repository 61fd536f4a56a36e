"""What Google Cloud Storage says about an object, and the parts of its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEME = "gs://"


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


def stored(resource: Mapping[str, Any]) -> Stored:
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


def divided(url: str) -> tuple[str, str]:
    """Bucket and name."""
    bucket, _, name = url.removeprefix(SCHEME).partition("/")
    return bucket, name
