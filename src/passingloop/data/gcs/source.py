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
from passingloop.data.cache.usage import record_use
from passingloop.data.files.excerpt import ENOUGH, check_header, footer_length
from passingloop.data.files.formats import Format, format_of
from passingloop.data.files.settings import FilesData
from passingloop.data.files.source import Files, check_format, numbering
from passingloop.data.gcs.cache import Stored, copy_of, fetch
from passingloop.data.gcs.connection import check_credentials, connected
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
    """The source behind `data=gcs`: each object is fetched once, and its copy read as `data=files` reads a file."""

    def __init__(self, config: GcsData, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> None:
        """Asks no server. What the run began with, `kept`, has no effect: objects are read as they are.

        Raises:
            ConfigError: `data.credentials` cannot be used.
        """
        check_credentials(config.credentials, SETTING)
        self._config, self._task, self._cache_root = config, task, cache_root
        self._pieces: dict[Part, Pieces] = {}
        self._found: dict[Part, tuple[Stored, ...]] = {}

    def parts(self) -> tuple[Part, ...]:
        """The parts for which the configuration names objects."""
        return tuple(part for part in PARTS if getattr(self._config, part))

    def check(self) -> None:
        """Ask for all objects, and for the columns of each part's first.

        Raises:
            DataError: one is not there, is empty or of an unknown format; or a column is missing.
            MissingError: the server refuses, fails or keeps silent.
        """
        with connected(self._config.credentials, SETTING) as objects:
            for part in self.parts():
                found = self._find(part, objects)
                for one in found:
                    self._check(one)
                self._check_columns(found[0], objects)

    def size(self) -> int:
        """Bytes of the objects that were last found, compressed as they are."""
        return sum(one.size for part in self.parts() for one in self._last_found(part))

    def identity(self, part: Part) -> dict[str, str]:
        """The URL of every object to its format, size and checksum, as the server gives them now.

        Raises:
            DataError, MissingError: see `check`.
        """
        with connected(self._config.credentials, SETTING) as objects:
            found = self._find(part, objects)
        return {one.url: f"{self._format(one)} {one.size} {one.digest}" for one in found}

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples of the objects that `identity` or `check` last found, fetched first where there is no copy.

        Raises:
            DataError: something cannot be read, a column is missing, or an object has no examples or has changed.
            MissingError: an object is still to be fetched, and the server refuses, fails or keeps silent.
        """
        found = self._last_found(part)
        self._fetch(found)
        pieces = self._pieces[part] = Pieces()
        for stored in found:
            yield from number_rows(self._read(stored, reject), pieces, stored.url, *numbering(self._format(stored)))

    def pieces(self, part: Part) -> Pieces:
        """The objects, as far as they have been read."""
        return self._pieces[part]

    def _find(self, part: Part, objects: Objects) -> tuple[Stored, ...]:
        """The objects of `part`, each once."""
        names: Sequence[str] = getattr(self._config, part)
        self._found[part] = tuple(dict.fromkeys(one for name in names for one in objects.find(name)))
        return self._found[part]

    def _last_found(self, part: Part) -> tuple[Stored, ...]:
        if part not in self._found:
            self.identity(part)
        return self._found[part]

    def _fetch(self, found: Sequence[Stored]) -> None:
        wanted = [one for one in found if not self._copy(one).exists()]
        if not wanted:
            return
        log.info("Objects to fetch: %d, of %.1f MB", len(wanted), sum(one.size for one in wanted) / 1e6)
        with connected(self._config.credentials, SETTING) as objects:
            for one in wanted:
                fetch(one, objects.fetch, self._cache_root)

    def _read(self, one: Stored, reject: Reject) -> Iterator[pa.RecordBatch]:
        copy = self._copy(one)
        settings = {spec.name: getattr(self._config, spec.name) for spec in dataclasses.fields(FilesData)}
        alone = {"source": "files", "train": (str(copy),), "validation": (), "test": ()}
        record_use(copy)
        with _named(one, copy):
            files = Files(FilesData(**settings | alone), self._task)
            yield from files.read("train", lambda problem: reject(_about(one, copy, problem)))

    def _check(self, one: Stored) -> None:
        copy = self._copy(one)
        with _named(one, copy):
            check_format(copy, self._config, self._task)
        if one.size == 0:
            raise DataError(f"{one.url} is empty. Leave it out, or see why it is.")

    def _check_columns(self, one: Stored, objects: Objects) -> None:
        copy, found = self._copy(one), self._format(one)
        end = _last(one, objects) if found == "parquet" else objects.piece(one, 0, min(ENOUGH, one.size))
        with _named(one, copy):
            check_header(copy, end, found, wanted_columns(self._config, self._task))

    def _format(self, one: Stored) -> Format:
        return format_of(self._copy(one), self._config)

    def _copy(self, one: Stored) -> Path:
        return copy_of(one, self._cache_root)


def _last(one: Stored, objects: Objects) -> bytes:
    """The end of a Parquet file, as far as its schema reaches."""
    end = objects.piece(one, max(0, one.size - ENOUGH), one.size)
    if end.endswith(b"PAR1") and (length := footer_length(end)) > len(end):
        end = objects.piece(one, max(0, one.size - length), one.size)
    return end


@contextmanager
def _named(one: Stored, copy: Path) -> Iterator[None]:
    """What is said about the copy is said about the object."""
    try:
        yield
    except DataError as problem:
        raise _about(one, copy, problem) from problem


def _about(one: Stored, copy: Path, problem: DataError) -> DataError:
    return DataError(str(problem).replace(str(copy), one.url))
