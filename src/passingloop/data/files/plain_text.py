"""Plain text: a file is cut into passages, mostly at blank lines. Nothing is lost or reordered."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from passingloop.data.files.errors import encoding_error
from passingloop.data.files.formats import open_bytes
from passingloop.data.rows.batches import gather


def read_text(path: Path, characters: int, fields: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    """Batches of passages of at most `characters` characters, each with the line where it begins, from 0.

    Raises:
        DataError: the file is not UTF-8.
    """
    lines = _lines(path, characters)
    return gather(((len(text), (line, text)) for line, text in passages(lines, characters)), fields)


def passages(lines: Iterable[str], most: int) -> Iterator[tuple[int, str]]:
    """The line where each passage begins, from 0, and its text.

    Whole paragraphs, as many as fit into `most` characters; one that does not fit is cut at line ends.

    A paragraph goes from one that follows a blank line to the next such. `lines` keep their ends and are at
    most `most` long; a longer one comes in pieces. Joined, the passages are the joined lines.
    """
    passage = paragraph = ""
    first = paragraph_first = number = 0
    blank = False
    for line in lines:
        begins = blank and not line.isspace()
        blank = line.isspace()
        if begins or len(paragraph) + len(line) > most:
            if passage and len(passage) + len(paragraph) > most:
                yield first, passage
                passage = ""
            first = first if passage else paragraph_first
            passage, paragraph = passage + paragraph, ""
        paragraph_first = paragraph_first if paragraph else number
        paragraph += line
        number += line.endswith(("\n", "\r"))
    if passage and len(passage) + len(paragraph) > most:
        yield first, passage
        passage = ""
    if passage or paragraph:
        yield first if passage else paragraph_first, passage + paragraph


def _lines(path: Path, most: int) -> Iterator[str]:
    """Lines with their ends as they are; one without an end in sight comes in pieces of `most` characters."""
    try:
        # newline="" keeps \r\n; utf-8-sig drops the byte order mark, if there is one.
        with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as stream:
            while line := stream.readline(most):
                yield line
    except UnicodeDecodeError as problem:
        with open_bytes(path) as stream:
            raise encoding_error(path, stream) from problem
