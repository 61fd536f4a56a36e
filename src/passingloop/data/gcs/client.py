"""Requests to Google Cloud Storage: at most three tries each, every wait bounded, and bytes as they are stored.

What is used of gcsfs and aiohttp beyond their documented interfaces stands in docs/decisions/0020-gcsfs-internals.md.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO, Literal, TypeVar

# Read when gcsfs is imported: it would ask each bucket over gRPC for its kind, which takes 45 to 83 seconds where the
# server speaks HTTP only (measured with an emulator).
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp
import gcsfs
import google_crc32c
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from gcsfs.retry import ChecksumError, NonRetryableError, is_retriable, validate_response

from passingloop.data.gcs.cache import Stored

PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try. gcsfs by itself makes six, which takes half a minute."""

SILENCE = 8.0
"""Seconds without a byte after which a try is given up."""

TRANSFER = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=SILENCE)
"""However long it takes, as long as something arrives."""

REQUEST = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=SILENCE)
"""For answers that are short, and for sending a piece of a file; `TRY` bounds the whole."""

TRY = 60.0
"""Seconds that one try of a request may take, its answer included."""

LEFT_TO_GCSFS = {403, 404, 412}
"""Statuses of which gcsfs makes an OSError at once: what is forbidden, missing, or there already."""

CHUNK = 1 << 20
"""Bytes that are received at a time."""

Access = Literal["read_only", "read_write"]

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


async def limit_tries(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware of aiohttp that makes the tries itself, for gcsfs's own six take half a minute.

    Raises:
        NonRetryableError: the last try failed, for the reason in `__cause__`. gcsfs passes it on without further tries.
        TimeoutError: one try took longer than `TRY`.
    """

    async def once() -> ClientResponse:
        async with asyncio.timeout(TRY):
            response = await handler(request)
            content = await response.read()
        if response.status not in LEFT_TO_GCSFS:
            validate_response(response.status, content, str(request.url))
        return response

    try:
        return await tried(once)
    except Exception as error:
        if isinstance(error, TimeoutError) and not is_retriable(error):
            raise
        raise NonRetryableError(str(error)) from error


class Client:
    """gcsfs with few tries, and downloads of bytes as they are stored."""

    def __init__(self, token: Any, access: Access) -> None:
        """Sends nothing.

        Raises:
            google.auth.exceptions.GoogleAuthError: there are no default credentials.
        """
        self.files: Any = gcsfs.GCSFileSystem(
            token=token,
            access=access,
            requests_timeout=REQUEST,
            # trust_env: HTTPS_PROXY, which nodes without a way out need.
            session_kwargs={"trust_env": True, "middlewares": (limit_tries,)},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self._downloads: aiohttp.ClientSession | None = None

    async def refresh(self) -> None:
        """Get a new access token if the old one ends soon. In a request, gcsfs would try six times to get one."""
        self.files.credentials.maybe_refresh()

    async def close(self) -> None:
        """Close the connections."""
        for session in (self.files.session, self._downloads):
            if session is not None:
                await session.close()

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
    async def _stored_bytes(self, stored: Stored, **headers: str) -> AsyncIterator[ClientResponse]:
        if self._downloads is None:
            self._downloads = aiohttp.ClientSession(trust_env=True, timeout=TRANSFER, auto_decompress=False)
        # Without this header what is kept compressed would come decompressed, to which no checksum belongs.
        headers = {"Accept-Encoding": "gzip", **headers}
        self.files.credentials.apply(headers)
        async with self._downloads.get(
            self.files.url(stored.path, generation=stored.generation), headers=headers
        ) as answer:
            if answer.status >= 400:
                validate_response(answer.status, await answer.read(), stored.path)
            yield answer


async def _receive(answer: ClientResponse, stored: Stored, file: BinaryIO) -> None:
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
