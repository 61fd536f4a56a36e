"""The one interface behind which a source of examples stands. A new source is a new file with this class shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from passingloop.config.data import PARTS, Part

LABELLED = pa.schema([("row", pa.int64()), ("text", pa.string()), ("label", pa.string())])
"""Classification. Labels are text here: an integer label 7 is "7"."""

PLAIN = pa.schema([("row", pa.int64()), ("text", pa.string())])
"""Causal language modelling on text."""

CHAT = pa.schema(
    [
        ("row", pa.int64()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)
"""Causal language modelling on chats."""


class Source(Protocol):
    """Reads examples, part by part, without holding a part in memory."""

    def parts(self) -> tuple[Part, ...]:
        """The parts the configuration names; `train` is always among them."""
        ...

    def identity(self, part: Part) -> dict[str, str]:
        """What `part` consists of: a name for each piece (a file's path, say) to a digest of its content.

        Equal identities mean equal examples in equal order.
        """
        ...

    def read(self, part: Part) -> Iterator[pa.RecordBatch]:
        """The examples of `part` in a fixed order, in batches with the schema the source was made for.

        `row` counts from 0 over the whole part. Missing texts and labels come as null or as they are: what
        to do about them is not the source's affair.

        Raises:
            DataError: something cannot be read; the message names the file and the line or row.
        """
        ...
