"""Reads plain text files, divided into passages, mostly at blank lines. No text is lost or reordered."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from passingloop.data.files.errors import encoding_error
from passingloop.data.files.formats import open_bytes
from passingloop.data.rows.batches import gather_batches


def read_text(path: Path, characters: int, fields: list[pa.Field]) -> Iterator[pa.RecordBatch]:
    """Batches of passages of at most `characters` characters, and the line where each starts, counted from 0.

    Raises:
        DataError: the file is not UTF-8.
    """
    lines = _lines(path, characters)
    return gather_batches(((len(text), (line, text)) for line, text in passages(lines, characters)), fields)


def passages(lines: Iterable[str], most: int) -> Iterator[tuple[int, str]]:
    """The passages: for each the line where it starts, counted from 0, and its text.

    A passage has as many whole paragraphs as fit into `most` characters. A longer paragraph is divided at line ends. A
    paragraph ends after blank lines. The joined passages are equal to the joined lines.

    Args:
        lines: with their line ends, and at most `most` characters each; a longer line is given in pieces.
    """
    passage = paragraph = ""
    first = paragraph_first = number = 0
    after_blank = False
    for line in lines:
        starts_paragraph = after_blank and not line.isspace()
        after_blank = line.isspace()
        if starts_paragraph or len(paragraph) + len(line) > most:
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
    """The lines with their line ends; a line of more than `most` characters comes in pieces."""
    try:
        # newline="" keeps \r\n; utf-8-sig drops the byte order mark, if there is one.
        with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as stream:
            while line := stream.readline(most):
                yield line
    except UnicodeDecodeError as problem:
        with open_bytes(path) as stream:
            raise encoding_error(path, stream) from problem
