"""gcsfs as it is used here: a few tries instead of many, no wait without an end, and bytes as they are stored."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO, TypeVar

# Read when gcsfs is imported: it would ask each bucket over gRPC for its kind, which takes 45 to 83 seconds where the
# server speaks HTTP only (measured with an emulator).
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp
import gcsfs
import google_crc32c
from gcsfs.retry import ChecksumError, is_retriable, validate_response

from passingloop.data.gcs.cache import Stored

PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try. gcsfs by itself makes six, which takes half a minute."""

SILENCE = 8.0
"""Seconds without a byte after which a try is given up."""

TRANSFER = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=SILENCE)
"""However long it takes, as long as something arrives."""

REQUEST = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0, sock_read=SILENCE)
"""For answers that are short, and for sending a piece of a file."""

CHUNK = 1 << 20
"""Bytes that are received at a time."""

Answer = TypeVar("Answer")


async def tried(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `call` gives, tried again after failures that may pass: 408, 429, 5xx, lost connections, damaged bytes."""
    for pause in PAUSES:
        try:
            return await call()
        except Exception as error:
            if not is_retriable(error):
                raise
        await asyncio.sleep(pause)
    return await call()


_request_once = gcsfs.GCSFileSystem._request.__wrapped__


class Client(gcsfs.GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs, but for the tries, and for bytes as they are stored."""

    async def _request(self, *args: Any, data: Any = None, **options: Any) -> Any:
        async def once() -> Any:
            # As bytes, aiohttp would send a large body without letting anything else happen meanwhile.
            body = io.BytesIO(data) if isinstance(data, bytes) else data
            return await _request_once(self, *args, data=body, **options)

        return await tried(once)

    async def fetch(self, stored: Stored, file: BinaryIO) -> None:
        """Write the bytes of `stored`, of exactly that generation and as they are stored, into `file`.

        Raises:
            ChecksumError, aiohttp.ClientPayloadError: three times other bytes, or fewer, have come.
            OSError: `file` cannot be written to; also, without an errno, what the server refuses.
        """

        async def once() -> None:
            file.seek(0)
            file.truncate()
            async with self._stored_bytes(stored) as answer:
                await _receive(answer, stored, file)

        await tried(once)

    async def piece(self, stored: Stored, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, as they are stored."""

        async def once() -> bytes:
            async with self._stored_bytes(stored, Range=f"bytes={start}-{end - 1}") as answer:
                return await answer.read()

        return await tried(once)

    @asynccontextmanager
    async def _stored_bytes(self, stored: Stored, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
        await self._set_session()
        async with self.session.get(
            self.url(stored.path, generation=stored.generation),
            # Without this header what is kept compressed would come decompressed, to which no checksum belongs.
            headers=self._get_headers({"Accept-Encoding": "gzip", **headers}),
            timeout=TRANSFER,
            auto_decompress=False,
        ) as answer:
            if answer.status >= 400:
                validate_response(answer.status, await answer.read(), stored.path)
            yield answer


async def _receive(answer: aiohttp.ClientResponse, stored: Stored, file: BinaryIO) -> None:
    kind, _, expected = stored.digest.partition(":")
    digest = hashlib.md5(usedforsecurity=False) if kind == "md5" else google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with suppress(aiohttp.ClientPayloadError):  # the connection has ended too early
        async for chunk in answer.content.iter_chunked(CHUNK):
            file.write(chunk)
            digest.update(chunk)
    if file.tell() != stored.size:
        raise aiohttp.ClientPayloadError(f"{file.tell():,} of {stored.size:,} bytes")
    if base64.b64encode(digest.digest()).decode() != expected:
        raise ChecksumError(f"the bytes that arrived have another {kind} checksum")
