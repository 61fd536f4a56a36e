"""Operations on objects in Google Cloud Storage: metadata, listing, download, upload, each with a time limit."""

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
from passingloop.data.files.errors import names_excerpt
from passingloop.data.gcs.cache import SCHEME, StoredObject, bucket_and_name, parse_object
from passingloop.data.gcs.client import READ_TIMEOUT, Access, Client
from passingloop.data.gcs.errors import RequestContext, translate_errors
from passingloop.errors import ConfigError, DataError, MissingError

REQUEST_SECONDS = 15.0
"""Seconds that a request may take, with all its tries."""

UPLOAD_CHUNK_BYTES = 8 << 20
"""Bytes sent at a time; Google Cloud Storage requires a multiple of 256 KiB."""

GLOB_CHARACTER = re.compile(r"[*?\[]")

MAX_LISTED_NAMES = 1000
"""How many names are listed to suggest the most similar one."""

for name in ("gcsfs", "google.auth"):  # the errors that they log are also raised, and reported by us
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def open_objects(credentials: str, setting: str, access: Access) -> Objects:
    """Connect; see `passingloop.data.gcs.connection.open_connection`."""
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    # As in Google's own client, no credentials are sent to an emulator unless they are set.
    tokens = {"anonymous": "anon", "default": "anon" if emulated else "google_default"}
    try:
        client = Client(tokens.get(credentials) or _service_account(credentials, setting, access), access)
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
        ) from None  # the exception could show a part of the key


class Objects:
    """The operations. Nothing is cached between calls.

    All methods raise MissingError if the server refuses, fails, does not answer or cannot be reached.
    """

    def __init__(self, client: Client, setting: str, access: Access) -> None:
        self._client, self._files = client, client.files
        reads = access == "read_only"
        self._context = RequestContext(
            account=_account_name(self._files.credentials.credentials),
            setting=setting,
            verb="read" if reads else "write to",
            role="roles/storage.objectViewer" if reads else "roles/storage.objectUser",
        )

    def close(self) -> None:
        """Close the connections."""
        with suppress(TimeoutError):  # a request without an answer may block the event loop
            sync(self._files.loop, self._client.close, timeout=1)

    @contextmanager
    def _translate_errors(self, url: str, limit: float) -> Iterator[None]:
        """`translate_errors` for requests about `url`. First renews the access token, so that no request has to."""
        with translate_errors(self._context, url, limit):
            sync(self._files.loop, self._client.refresh, timeout=REQUEST_SECONDS)
            yield

    def find_objects(self, name: str) -> list[StoredObject]:
        """The object with the URL `name`, or the objects that match it as a pattern, sorted by name.

        In a pattern `*` and `?` match all characters but a slash, and `**` matches folders of any depth.

        Raises:
            DataError: there are none; the message has the names that exist instead.
        """
        with suppress(FileNotFoundError):
            return [self.get_object(name)]
        if not GLOB_CHARACTER.search(name):
            raise DataError(self._missing_message(name))
        matches = sorted(self._matching_objects(name), key=lambda stored: stored.url)
        if not matches:
            raise DataError(self._missing_message(name))
        return matches

    def get_object(self, url: str) -> StoredObject:
        """The current metadata of an object.

        Raises:
            FileNotFoundError: it does not exist.
        """
        bucket, name = bucket_and_name(url)
        with self._translate_errors(url, REQUEST_SECONDS):
            resource = self._files.call("GET", "b/{}/o/{}", bucket, name, json_out=True, timeout=REQUEST_SECONDS)
            return parse_object(resource | {"name": f"{bucket}/{name}"})

    def read_range(self, stored: StoredObject, start: int, end: int) -> bytes:
        """The bytes of the object from `start` to before `end`, as stored."""
        with self._translate_errors(stored.url, REQUEST_SECONDS):
            return bytes(sync(self._files.loop, self._client.read_range, stored, start, end, timeout=REQUEST_SECONDS))

    def download(self, stored: StoredObject, file: BinaryIO) -> None:
        """Write the bytes of this generation of the object into `file`, and check their size and checksum.

        Raises:
            DataError: the object was changed or removed since its metadata were read.
        """
        try:
            with self._translate_errors(stored.url, READ_TIMEOUT):
                sync(self._files.loop, self._client.download, stored, file)
        except FileNotFoundError:
            raise _changed_error(stored) from None
        except MissingError as error:
            is_damaged = isinstance(error.__cause__, ChecksumError | ClientPayloadError)
            if is_damaged and self.get_object(stored.url).generation != stored.generation:
                raise _changed_error(stored) from None
            raise

    def check_writable(self, url: str) -> None:
        """Check that this account may read and create an object at `url`, without creating one.

        A resumable upload is started, which the server permits or refuses, and not continued; it expires after a week.
        Source: https://cloud.google.com/storage/docs/resumable-uploads

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        with suppress(FileNotFoundError):
            self.get_object(url)
        with self._translate_errors(url, REQUEST_SECONDS):
            sync(self._files.loop, initiate_upload, self._files, *bucket_and_name(url), timeout=REQUEST_SECONDS)

    def upload(self, path: Path, url: str) -> bool:
        """Upload `path` to `url`, and check the checksum. Returns False if the object has this content already.

        Raises:
            FileNotFoundError: there is no such bucket.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        with suppress(FileNotFoundError):
            if self.get_object(url).digest == f"md5:{base64.b64encode(digest).decode()}":
                return False
        with self._translate_errors(url, READ_TIMEOUT):
            self._files.put_file(str(path), url, consistency="md5", chunksize=UPLOAD_CHUNK_BYTES)
        return True

    def _matching_objects(self, pattern: str) -> Iterator[StoredObject]:
        path = pattern.removeprefix(SCHEME)
        literal = GLOB_CHARACTER.split(path, maxsplit=1)[0]
        folder, _, beginning = literal.rpartition("/")
        regex = _pattern(pattern)
        is_recursive = "/" in path[len(literal) :]
        for entry in self._entries(folder, beginning, is_recursive=is_recursive):
            is_object = entry["type"] == "file" and not entry["name"].endswith("/")
            if is_object and regex.match(entry["name"]):
                yield parse_object(entry)

    def _entries(self, folder: str, beginning: str = "", *, is_recursive: bool = False, most: int = 0) -> Iterable[Any]:
        """The entries of `folder` whose names begin with `beginning`; none if there is no such folder or bucket."""
        listing = {"prefix": beginning, "detail": True, "timeout": REQUEST_SECONDS}
        with suppress(FileNotFoundError), self._translate_errors(f"{SCHEME}{folder}/{beginning}*", REQUEST_SECONDS):
            if is_recursive:
                return list(self._files.find(folder, **listing).values())
            return list(self._files.ls(folder, max_results=most or None, **listing))
        return []

    def _missing_message(self, url: str) -> str:
        """Why there is no object or match for `url`."""
        bucket, name = bucket_and_name(url)
        try:
            with self._translate_errors(url, REQUEST_SECONDS):
                self._files.ls(bucket, max_results=1, timeout=REQUEST_SECONDS)
        except FileNotFoundError:
            return f"{url} is not there: there is no bucket {bucket}. Is its name right?"
        except MissingError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            # The account may read objects, but not list them.
            return f"{url} is not there, and its bucket's names may not be listed. Is the name right?"
        if self._entries(f"{bucket}/{name}", most=1):
            return f"{url} is no object, but there are some whose names begin so. Name them, for instance {url}/*.csv."
        folder = GLOB_CHARACTER.split(f"{bucket}/{name}", maxsplit=1)[0].rpartition("/")[0]
        names = [entry["name"].rpartition("/")[2] for entry in self._entries(folder, most=MAX_LISTED_NAMES)]
        if GLOB_CHARACTER.search(name):
            return f"Nothing matches {url}. {SCHEME}{folder} has: {names_excerpt(names)}."
        return f"{url} is not there.{did_you_mean(name.rpartition('/')[2], names)}"


def _changed_error(stored: StoredObject) -> DataError:
    return DataError(
        f"{stored.url} was changed or removed while it was about to be read. Give the same command again when nothing "
        "writes to it any more."
    )


def _pattern(url: str) -> re.Pattern[str]:
    try:
        return re.compile(glob_translate(url.removeprefix(SCHEME)))
    except ValueError:
        raise DataError(f"{url} is no pattern: ** must stand between slashes, as in gs://bucket/**/*.csv.") from None


def _account_name(credentials: Any) -> str | None:
    """The name of the account as far as it is known without a request."""
    if credentials is None:
        return None
    name = getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None)
    return str(name or "of the default credentials")
