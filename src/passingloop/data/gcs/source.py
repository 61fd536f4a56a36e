"""Examples from objects in Google Cloud Storage, in the formats of files."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from passingloop.config.data import PARTS, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.cache.last_use import record_use
from passingloop.data.files.excerpt import HEADER_BYTES, check_header, footer_length
from passingloop.data.files.formats import Format, format_of
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files, check_format, numbering
from passingloop.data.gcs.cache import StoredObject, copy_path, fetch_copy
from passingloop.data.gcs.connection import check_credentials, open_connection
from passingloop.data.gcs.settings import GcsData
from passingloop.data.rows.batches import number_rows
from passingloop.data.rows.columns import wanted_columns
from passingloop.data.rows.places import Pieces
from passingloop.data.source import Reject
from passingloop.errors import DataError

if TYPE_CHECKING:
    from passingloop.data.gcs.objects import Objects  # imports gcsfs

SETTING = "data.credentials"

log = logging.getLogger("passingloop")


class Gcs:
    """The source of `data=gcs`: each object is downloaded once, and its copy is read as `data=files` reads a file."""

    def __init__(self, config: GcsData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """Send no request yet. `kept` has no effect: objects are read in their current generation.

        Raises:
            ConfigError: `data.credentials` cannot be used.
        """
        check_credentials(config.credentials, SETTING)
        self._config, self._task, self._cache_root = config, task, cache_root
        self._pieces: dict[Part, Pieces] = {}
        self._objects: dict[Part, tuple[StoredObject, ...]] = {}

    def parts(self) -> tuple[Part, ...]:
        """The parts for which the configuration names objects."""
        return tuple(part for part in PARTS if getattr(self._config, part))

    def check(self) -> None:
        """Look up all objects, and check the columns of the first one of each part.

        Raises:
            DataError: an object is missing, empty or of an unknown format, or a column is missing.
            MissingError: the server refuses, fails or does not answer.
        """
        with open_connection(self._config.credentials, SETTING) as connection:
            for part in self.parts():
                objects = self._find_objects(part, connection)
                for stored in objects:
                    self._check_object(stored)
                self._check_columns(objects[0], connection)

    def size(self) -> int:
        """Bytes of the objects, as stored."""
        return sum(stored.size for part in self.parts() for stored in self._current_objects(part))

    def identity(self, part: Part) -> dict[str, str]:
        """The URL of each object, mapped to its format, size and checksum as the server has them now.

        Raises:
            DataError, MissingError: see `check`.
        """
        with open_connection(self._config.credentials, SETTING) as connection:
            objects = self._find_objects(part, connection)
        return {stored.url: f"{self._format(stored)} {stored.size} {stored.digest}" for stored in objects}

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples of the objects as `identity` or `check` found them; those without a copy are downloaded first.

        Raises:
            DataError: an object cannot be read, lacks a column, has no examples, or has changed.
            MissingError: an object must be downloaded, and the server refuses, fails or does not answer.
        """
        objects = self._current_objects(part)
        self._fetch_missing(objects)
        pieces = self._pieces[part] = Pieces()
        for stored in objects:
            yield from number_rows(
                self._read_copy(stored, reject), pieces, stored.url, *numbering(self._format(stored))
            )

    def pieces(self, part: Part) -> Pieces:
        """The objects that have been read so far."""
        return self._pieces[part]

    def _find_objects(self, part: Part, connection: Objects) -> tuple[StoredObject, ...]:
        """Look up the objects of `part`; each one occurs once."""
        names: Sequence[str] = getattr(self._config, part)
        self._objects[part] = tuple(dict.fromkeys(stored for name in names for stored in connection.find_objects(name)))
        return self._objects[part]

    def _current_objects(self, part: Part) -> tuple[StoredObject, ...]:
        """The objects of `part` as they were last looked up."""
        if part not in self._objects:
            self.identity(part)
        return self._objects[part]

    def _fetch_missing(self, objects: Sequence[StoredObject]) -> None:
        missing = [stored for stored in objects if not self._copy(stored).exists()]
        if not missing:
            return
        log.info("Objects to fetch: %d, of %.1f MB", len(missing), sum(stored.size for stored in missing) / 1e6)
        with open_connection(self._config.credentials, SETTING) as connection:
            for stored in missing:
                fetch_copy(stored, connection.download, self._cache_root)

    def _read_copy(self, stored: StoredObject, reject: Reject) -> Iterator[pa.RecordBatch]:
        copy = self._copy(stored)
        settings = {spec.name: getattr(self._config, spec.name) for spec in dataclasses.fields(FilesData)}
        paths = {"source": "files", "train": (str(copy),), "validation": (), "test": ()}
        record_use(copy)
        with _errors_about(stored, copy):
            files = Files(FilesData(**settings | paths), self._task)
            yield from files.read("train", lambda problem: reject(_error_about(stored, copy, problem)))

    def _check_object(self, stored: StoredObject) -> None:
        copy = self._copy(stored)
        with _errors_about(stored, copy):
            check_format(copy, self._config, self._task)
        if stored.size == 0:
            raise DataError(f"{stored.url} is empty. Leave it out, or see why it is.")

    def _check_columns(self, stored: StoredObject, connection: Objects) -> None:
        copy, file_format = self._copy(stored), self._format(stored)
        if file_format == "parquet":
            content = _parquet_end(stored, connection)
        else:
            content = connection.read_range(stored, 0, min(HEADER_BYTES, stored.size))
        with _errors_about(stored, copy):
            check_header(copy, content, file_format, wanted_columns(self._config, self._task), self._config)

    def _format(self, stored: StoredObject) -> Format:
        return format_of(self._copy(stored), self._config)

    def _copy(self, stored: StoredObject) -> Path:
        return copy_path(stored, self._cache_root)


def _parquet_end(stored: StoredObject, connection: Objects) -> bytes:
    """The last bytes of a Parquet file, with all of its footer, which has the schema."""
    end = connection.read_range(stored, max(0, stored.size - HEADER_BYTES), stored.size)
    if end.endswith(b"PAR1") and (length := footer_length(end)) > len(end):
        end = connection.read_range(stored, max(0, stored.size - length), stored.size)
    return end


@contextmanager
def _errors_about(stored: StoredObject, copy: Path) -> Iterator[None]:
    """A context in which errors about the copy become errors about the object."""
    try:
        yield
    except DataError as problem:
        raise _error_about(stored, copy, problem) from problem


def _error_about(stored: StoredObject, copy: Path, problem: DataError) -> DataError:
    return DataError(str(problem).replace(str(copy), stored.url))
