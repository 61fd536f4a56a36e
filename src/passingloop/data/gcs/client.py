"""Requests to Google Cloud Storage: at most three tries each, with timeouts; downloads of the bytes as stored.

The undocumented parts of gcsfs and aiohttp that are used here are listed in docs/decisions/0020-gcsfs-internals.md.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO, Literal, TypeVar

# Read when gcsfs is imported. Otherwise gcsfs asks over gRPC for the type of each bucket, which takes 45 to 83 seconds
# if the server has HTTP only (measured with an emulator).
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp
import gcsfs
import google_crc32c
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from gcsfs.retry import ChecksumError, NonRetryableError, is_retriable, validate_response

from passingloop.data.gcs.cache import StoredObject

RETRY_PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try. The six tries of gcsfs itself take half a minute."""

READ_TIMEOUT = 8.0
"""Seconds without receiving a byte after which a try fails."""

DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=READ_TIMEOUT)
"""A download may take any time as long as bytes arrive."""

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=READ_TIMEOUT)
"""For short answers, and for sending a chunk of a file. `TRY_TIMEOUT` limits the whole try."""

TRY_TIMEOUT = 60.0
"""Seconds that one try of a request may take, including its answer."""

GCSFS_STATUSES = {403, 404, 412}
"""HTTP statuses that gcsfs turns into an OSError without retries: forbidden, missing, precondition failed."""

CHUNK_BYTES = 1 << 20
"""Bytes received at a time."""

Access = Literal["read_only", "read_write"]

Answer = TypeVar("Answer")


async def call_with_retries(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The result of `call`, retried after temporary failures: 408, 429, 5xx, lost connections, wrong checksums."""
    for pause in RETRY_PAUSES:
        try:
            return await call()
        except Exception as error:
            if not is_retriable(error):
                raise
        await asyncio.sleep(pause)
    return await call()


async def limit_tries(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """aiohttp middleware that makes the tries, so that gcsfs makes none of its own, which take half a minute.

    Raises:
        NonRetryableError: the last try failed; its error is the `__cause__`. gcsfs passes it on without retries.
        TimeoutError: one try took longer than `TRY_TIMEOUT`.
    """

    async def send() -> ClientResponse:
        async with asyncio.timeout(TRY_TIMEOUT):
            response = await handler(request)
            content = await response.read()
        if response.status not in GCSFS_STATUSES:
            validate_response(response.status, content, str(request.url))
        return response

    try:
        return await call_with_retries(send)
    except Exception as error:
        if isinstance(error, TimeoutError) and not is_retriable(error):
            raise
        raise NonRetryableError(str(error)) from error


class Client:
    """gcsfs with at most three tries, and downloads of the bytes as stored."""

    def __init__(self, token: Any, access: Access) -> None:
        """Send no request yet.

        Raises:
            google.auth.exceptions.GoogleAuthError: there are no default credentials.
        """
        self.files: Any = gcsfs.GCSFileSystem(
            token=token,
            access=access,
            requests_timeout=REQUEST_TIMEOUT,
            # trust_env: use HTTPS_PROXY, which compute nodes without direct access to the network need.
            session_kwargs={"trust_env": True, "middlewares": (limit_tries,)},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self._downloads: aiohttp.ClientSession | None = None

    async def refresh(self) -> None:
        """Get a new access token if the old one expires soon. Within a request gcsfs would make six tries for it."""
        self.files.credentials.maybe_refresh()

    async def close(self) -> None:
        """Close the connections."""
        for session in (self.files.session, self._downloads):
            if session is not None:
                await session.close()

    async def download(self, stored: StoredObject, file: BinaryIO) -> None:
        """Write the bytes of this generation of the object, as stored, into `file`.

        Raises:
            ChecksumError, aiohttp.ClientPayloadError: in three tries the bytes were wrong or incomplete.
            OSError: `file` cannot be written to; without an errno: the server refuses.
        """

        async def download_once() -> None:
            file.seek(0)
            file.truncate()
            async with self._response(stored) as answer:
                await _receive_bytes(answer, stored, file)

        await call_with_retries(download_once)

    async def read_range(self, stored: StoredObject, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, as stored."""

        async def read_once() -> bytes:
            async with self._response(stored, Range=f"bytes={start}-{end - 1}") as answer:
                return await answer.read()

        return await call_with_retries(read_once)

    @asynccontextmanager
    async def _response(self, stored: StoredObject, **headers: str) -> AsyncIterator[ClientResponse]:
        if self._downloads is None:
            self._downloads = aiohttp.ClientSession(trust_env=True, timeout=DOWNLOAD_TIMEOUT, auto_decompress=False)
        # Without this header the server would decompress objects; the checksum is that of the stored bytes.
        headers = {"Accept-Encoding": "gzip", **headers}
        self.files.credentials.apply(headers)
        async with self._downloads.get(
            self.files.url(stored.path, generation=stored.generation), headers=headers
        ) as answer:
            if answer.status >= 400:
                validate_response(answer.status, await answer.read(), stored.path)
            yield answer


async def _receive_bytes(answer: ClientResponse, stored: StoredObject, file: BinaryIO) -> None:
    kind, _, expected = stored.digest.partition(":")
    digest = hashlib.md5(usedforsecurity=False) if kind == "md5" else google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with suppress(aiohttp.ClientPayloadError):  # the connection was lost; found by the size below
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
    if file.tell() != stored.size:
        raise aiohttp.ClientPayloadError(f"{file.tell():,} of {stored.size:,} bytes")
    if base64.b64encode(digest.digest()).decode() != expected:
        raise ChecksumError(f"the bytes that arrived have another {kind} checksum")
