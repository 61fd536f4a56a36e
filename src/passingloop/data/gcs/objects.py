"""Objects in Google Cloud Storage: looked up, listed, fetched and uploaded, each within a bounded time."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import google.auth.exceptions
from aiohttp import ClientPayloadError
from fsspec.asyn import sync
from fsspec.utils import glob_translate
from gcsfs.core import initiate_upload
from gcsfs.retry import ChecksumError
from google.oauth2 import service_account

from passingloop.config.build import did_you_mean
from passingloop.data.files.errors import shorten_list
from passingloop.data.gcs.cache import SCHEME, Stored, bucket_and_name, stored_object
from passingloop.data.gcs.client import SILENCE, Access, Client
from passingloop.data.gcs.errors import Asking, asking
from passingloop.errors import ConfigError, DataError, MissingError

LIMIT = 15.0
"""Seconds that one question may take, with all its tries."""

PIECE = 8 << 20
"""Bytes that are sent at a time; Google Cloud Storage wants a multiple of 256 KiB."""

MAGIC = re.compile(r"[*?\[]")

SIBLINGS = 1000
"""How many names are looked at to suggest the nearest."""

for name in ("gcsfs", "google.auth"):  # what they log, tracebacks and all, they raise as well, and we say
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def open_objects(credentials: str, setting: str, access: Access) -> Objects:
    """See `passingloop.data.gcs.connection.connected`."""
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    # As Google's own client does, no credentials go to an emulator unless they are asked for.
    words = {"anonymous": "anon", "default": "anon" if emulated else "google_default"}
    try:
        client = Client(words.get(credentials) or _service_account(credentials, setting, access), access)
    except google.auth.exceptions.GoogleAuthError as error:
        why = str(error).rstrip(".")
        raise MissingError(
            f"You set {setting}=default, but this machine has no credentials for Google Cloud ({why}). Run gcloud auth "
            "application-default login, set GOOGLE_APPLICATION_CREDENTIALS, or choose others with "
            f"{setting}: anonymous for public buckets, or a service account's key file."
        ) from error
    return Objects(client, setting, access)


def _service_account(path: str, setting: str, access: Access) -> Any:
    scope = f"https://www.googleapis.com/auth/devstorage.{access}"
    try:
        return service_account.Credentials.from_service_account_file(path, scopes=[scope])  # type: ignore[no-untyped-call]
    except (ValueError, google.auth.exceptions.GoogleAuthError):
        raise ConfigError(
            f"You set {setting}={path}, but that key file is damaged or incomplete. Download it again, or have a new "
            "key made for the service account."
        ) from None  # what is raised might show a part of the key


class Objects:
    """What can be done with objects. Nothing that was asked before is remembered.

    All methods raise MissingError when the server refuses, fails, keeps silent or cannot be reached.
    """

    def __init__(self, client: Client, setting: str, access: Access) -> None:
        self._client, self._files = client, client.files
        reads = access == "read_only"
        self._who = Asking(
            account=_account(self._files.credentials.credentials),
            setting=setting,
            verb="read" if reads else "write to",
            role="roles/storage.objectViewer" if reads else "roles/storage.objectUser",
        )

    def close(self) -> None:
        """Close the connections."""
        with suppress(TimeoutError):  # the loop may be held up by what has not answered
            sync(self._files.loop, self._client.close, timeout=1)

    @contextmanager
    def _asking(self, url: str, limit: float) -> Iterator[None]:
        """See `asking`. The access token is renewed first, so that it is not renewed within a request."""
        with asking(self._who, url, limit):
            sync(self._files.loop, self._client.refresh, timeout=LIMIT)
            yield

    def find(self, name: str) -> list[Stored]:
        """The object `name`, or those that match it, in order of their names.

        What exists by its very name is no pattern. `*` and `?` stand for anything but a slash, `**` for any depth.

        Raises:
            DataError: there are none; says what there is instead.
        """
        with suppress(FileNotFoundError):
            return [self.look_up(name)]
        if not MAGIC.search(name):
            raise DataError(self._missing(name))
        found = sorted(self._matching(name), key=lambda one: one.url)
        if not found:
            raise DataError(self._missing(name))
        return found

    def look_up(self, url: str) -> Stored:
        """What the server says of one object, now.

        Raises:
            FileNotFoundError: it is not there.
        """
        bucket, name = bucket_and_name(url)
        with self._asking(url, LIMIT):
            said = self._files.call("GET", "b/{}/o/{}", bucket, name, json_out=True, timeout=LIMIT)
            return stored_object(said | {"name": f"{bucket}/{name}"})

    def piece(self, one: Stored, start: int, end: int) -> bytes:
        """The bytes of the object from `start` to before `end`, as they are stored."""
        with self._asking(one.url, LIMIT):
            return bytes(sync(self._files.loop, self._client.piece, one, start, end, timeout=LIMIT))

    def fetch(self, one: Stored, file: BinaryIO) -> None:
        """Write the bytes of exactly this object into `file`, checked against its size and checksum.

        Raises:
            DataError: it was changed or removed since it was looked up.
        """
        try:
            with self._asking(one.url, SILENCE):
                sync(self._files.loop, self._client.fetch, one, file)
        except FileNotFoundError:
            raise _changed(one) from None
        except MissingError as error:
            other = isinstance(error.__cause__, ChecksumError | ClientPayloadError)
            if other and self.look_up(one.url).generation != one.generation:
                raise _changed(one) from None
            raise

    def check_writable(self, url: str) -> None:
        """See that an object may be looked up and made at `url`, without making any.

        An upload is begun, which the server allows or refuses, and not gone on with: it lapses after a week.
        Source: https://cloud.google.com/storage/docs/resumable-uploads

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        with suppress(FileNotFoundError):
            self.look_up(url)
        with self._asking(url, LIMIT):
            sync(self._files.loop, initiate_upload, self._files, *bucket_and_name(url), timeout=LIMIT)

    def upload(self, path: Path, url: str) -> bool:
        """Make `url` a copy of `path`, checked against its checksum; False if it is one already.

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        with suppress(FileNotFoundError):
            if self.look_up(url).digest == f"md5:{base64.b64encode(digest).decode()}":
                return False
        with self._asking(url, SILENCE):
            self._files.put_file(str(path), url, consistency="md5", chunksize=PIECE)
        return True

    def _matching(self, pattern: str) -> Iterator[Stored]:
        path = pattern.removeprefix(SCHEME)
        literal = MAGIC.split(path, maxsplit=1)[0]
        folder, _, beginning = literal.rpartition("/")
        fits = _pattern(pattern)
        deep = "/" in path[len(literal) :]
        for entry in self._entries(folder, beginning, deep=deep):
            is_object = entry["type"] == "file" and not entry["name"].endswith("/")
            if is_object and fits.match(entry["name"]):
                yield stored_object(entry)

    def _entries(self, folder: str, beginning: str = "", *, deep: bool = False, most: int = 0) -> Iterable[Any]:
        """What is in `folder` under names with this beginning; nothing if there is no such folder or bucket."""
        listing = {"prefix": beginning, "detail": True, "timeout": LIMIT}
        with suppress(FileNotFoundError), self._asking(f"{SCHEME}{folder}/{beginning}*", LIMIT):
            if deep:
                return list(self._files.find(folder, **listing).values())
            return list(self._files.ls(folder, max_results=most or None, **listing))
        return []

    def _missing(self, url: str) -> str:
        """Why nothing goes by the name `url`."""
        bucket, name = bucket_and_name(url)
        try:
            with self._asking(url, LIMIT):
                self._files.ls(bucket, max_results=1, timeout=LIMIT)
        except FileNotFoundError:
            return f"{url} is not there: there is no bucket {bucket}. Is its name right?"
        except MissingError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            # It may be read, but not listed.
            return f"{url} is not there, and its bucket's names may not be listed. Is the name right?"
        if self._entries(f"{bucket}/{name}", most=1):
            return f"{url} is no object, but there are some whose names begin so. Name them, for instance {url}/*.csv."
        folder = MAGIC.split(f"{bucket}/{name}", maxsplit=1)[0].rpartition("/")[0]
        names = [entry["name"].rpartition("/")[2] for entry in self._entries(folder, most=SIBLINGS)]
        if MAGIC.search(name):
            return f"Nothing matches {url}. {SCHEME}{folder} has: {shorten_list(names)}."
        return f"{url} is not there.{did_you_mean(name.rpartition('/')[2], names)}"


def _changed(one: Stored) -> DataError:
    return DataError(
        f"{one.url} was changed or removed while it was about to be read. Give the same command again when nothing "
        "writes to it any more."
    )


def _pattern(url: str) -> re.Pattern[str]:
    try:
        return re.compile(glob_translate(url.removeprefix(SCHEME)))
    except ValueError:
        raise DataError(f"{url} is no pattern: ** must stand between slashes, as in gs://bucket/**/*.csv.") from None


def _account(credentials: Any) -> str | None:
    """The name of who asks, as far as it can be told without asking."""
    if credentials is None:
        return None
    known = getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None)
    return str(known or "of the default credentials")
