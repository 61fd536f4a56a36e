"""The interface of a data source, and opening the source that is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from passingloop.config.data import SOURCES, DataConfig, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.rows.places import Pieces
from passingloop.errors import DataError

LABELLED = pa.schema([("row", pa.int64()), ("text", pa.string()), ("label", pa.string())])
"""Texts with a label. Labels are text: an integer label 7 is "7"."""

UNLABELLED = pa.schema([("row", pa.int64()), ("text", pa.string())])
"""Texts without labels."""

CHAT = pa.schema([("row", pa.int64()), ("messages", pa.string())])
"""Chats as JSON text, with all fields of their messages: `passingloop.data.rows.chats`."""

Reject = Callable[[DataError], None]
"""Called by a source with the fault of a line or row that it leaves out. Counting them is up to the caller."""


class Source(Protocol):
    """Reads the examples of each part, without holding a part in memory."""

    def parts(self) -> tuple[Part, ...]:
        """The parts that are configured; `train` is always one of them."""
        ...

    def check(self) -> None:
        """Check within seconds that the configured files, columns, tables or objects exist.

        Raises:
            DataError: one does not exist.
            ConfigError: a setting does not fit the data.
            MissingError: a driver, a server or a package is missing, or does not answer in time.
        """
        ...

    def size(self) -> int | None:
        """The approximate number of bytes to read, found within seconds; None if unknown."""
        ...

    def identity(self, part: Part) -> dict[str, str]:
        """The pieces of `part`: the name of each, such as a file's path, mapped to a digest of its content.

        Equal identities mean the same examples in the same order.
        """
        ...

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples of `part` in a fixed order, in batches with the schema of the task.

        A line or row that cannot be parsed is passed to `reject` and left out. The column `row` counts from 0 over the
        whole part, including those that are left out. Empty texts and labels are passed on as they are, missing ones as
        null; the caller handles them.

        Raises:
            DataError: a file, table or the like cannot be read; the message names it.
        """
        ...

    def pieces(self, part: Part) -> Pieces:
        """The pieces from which `read` has read the rows of `part` so far."""
        ...


@runtime_checkable
class VersionedSource(Source, Protocol):
    """A source whose data a run reads again as they were when it began: `DataConfig.has_versions`."""

    def current_identity(self, part: Part) -> dict[str, str]:
        """The identity that a new run would have, as far as it can be told within seconds and without reading all.

        A piece that is known to have changed may be mapped to anything else than its digest.

        Raises:
            DataError, ConfigError: data are no longer there or accessible.
            MissingError: it cannot be told; the message says why.
        """
        ...


def open_source(config: DataConfig, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> Source:
    """The source of `data=…`. Its module is imported only if it is chosen.

    Args:
        cache_root: where the source stores what it downloads.
        kept: the fingerprint of the data that the run began with, if it has begun. A source that has versions reads
            these data again.

    Raises:
        DataError: configured data do not exist.
        ConfigError: a setting cannot be used.
        MissingError: a driver, a server or a package is missing.
    """
    source: Source = SOURCES[config.source].reader_class()(config, task, cache_root, kept)
    return source
