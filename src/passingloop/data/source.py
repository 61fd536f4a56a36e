"""What reads examples, whichever source they come from: the interface, and how the chosen source is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from passingloop.config.data import SOURCES, DataConfig, Fingerprint, Part
from passingloop.config.settings import Task
from passingloop.data.rows.places import Pieces
from passingloop.errors import DataError

LABELLED = pa.schema([("row", pa.int64()), ("text", pa.string()), ("label", pa.string())])
"""Texts with a label, which is text here: an integer label 7 is "7"."""

PLAIN = pa.schema([("row", pa.int64()), ("text", pa.string())])
"""Texts alone."""

CHAT = pa.schema(
    [
        ("row", pa.int64()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)
"""Chats."""

Reject = Callable[[DataError], None]
"""Takes what is wrong with a single line or row, which is left out then; counting it is not the source's affair."""


class Source(Protocol):
    """Reads examples, part by part, without holding a part in memory."""

    def parts(self) -> tuple[Part, ...]:
        """The parts the configuration names; `train` is always among them."""
        ...

    def check(self) -> None:
        """See within seconds that what the configuration names is there: files, columns, tables, objects.

        Raises:
            DataError: it is not.
            ConfigError: a setting does not fit what is there.
            MissingError: a driver, a server or a package is not there, or does not answer in time.
        """
        ...

    def size(self) -> int | None:
        """About how many bytes there are to read, within seconds; None if that cannot be told."""
        ...

    def identity(self, part: Part) -> dict[str, str]:
        """What `part` consists of: a name for each piece (a file's path, say) to a digest of its content.

        Equal identities mean equal examples in equal order.
        """
        ...

    def read(self, part: Part, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The examples of `part` in a fixed order, in batches with the schema the source was made for.

        A line or row that cannot be parsed is given to `reject`, and left out.

        `row` counts from 0 over the whole part, with the lines and rows that are left out.

        Missing texts and labels come as null or as they are: what
        to do about them is not the source's affair.

        Raises:
            DataError: something as a whole cannot be read; the message names it.
        """
        ...

    def pieces(self, part: Part) -> Pieces:
        """Where the rows of `part` come from that `read` has given so far."""
        ...


def open_source(config: DataConfig, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> Source:
    """The source behind `data=…`, ready to be read. Its module is imported only when it is chosen.

    Args:
        cache_root: where a source keeps what it has fetched.
        kept: what the run began with, if it has begun: a source that can still give exactly that does.

    Raises:
        DataError: something that the configuration names is not there.
        ConfigError: a setting cannot be used.
        MissingError: a driver, a server or a package is not there.
    """
    source: Source = SOURCES[config.source].reader_class()(config, task, cache_root, kept)
    return source
