"""The format of a file by its name and its first bytes, and its bytes without their compression."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pyarrow as pa

from passingloop.config.build import did_you_mean
from passingloop.config.data import FormattedData
from passingloop.errors import DataError

Format = Literal["csv", "tsv", "jsonl", "parquet", "text"]

BY_ENDING: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}

UTF32 = "is UTF-32, not UTF-8. Convert it, for instance with iconv -f utf-32 -t utf-8."
UTF16 = "is UTF-16, not UTF-8. Convert it, for instance with iconv -f utf-16{} -t utf-8."

BEGINNINGS = {
    b"PK\x03\x04": "is a zip archive, as Excel's files are, too. Unpack it, or save the table as CSV.",
    b"\x1f\x8b": "is compressed with gzip. Add .gz to its name.",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Add .zst to its name.",
    b"PAR1": "is Parquet. Name it so (.parquet), or set data.format=parquet.",
    b"ARROW1": "is an Arrow file. Write it as Parquet.",
    b"SQLite format 3\0": "is an SQLite database. Read it with data=sql, or export the table as CSV.",
    b"%PDF-": "is a PDF. Extract its text first.",
    b"\xff\xfe\0\0": UTF32,
    b"\0\0\xfe\xff": UTF32,
    b"\xff\xfe": UTF16.format(""),
    b"\xfe\xff": UTF16.format(""),
}
"""Sentences without their subject. Longer beginnings stand before those with which they begin themselves."""

LENGTH = 64
"""Bytes that are enough to tell."""


def format_of(path: Path, config: FormattedData) -> Format:
    """The format that `data.format` sets, or the name tells.

    Raises:
        DataError: the name tells none, or it is a compressed Parquet file.
    """
    inner = Path(path.stem) if path.suffix in COMPRESSED else path
    ending = inner.suffix.lower()
    if config.format != "auto":
        file_format: Format = config.format
    elif ending in BY_ENDING:
        file_format = BY_ENDING[ending]
    else:
        raise DataError(
            f"The name of {path} does not tell its format.{did_you_mean(ending, BY_ENDING)} "
            "A compressed file ends in .gz or .zst after that. Or set data.format=csv, tsv, jsonl, parquet "
            "or text."
        )
    if file_format == "parquet" and path.suffix in COMPRESSED:
        raise DataError(
            f"{path} is a Parquet file that is compressed again. Decompress it; Parquet needs no .gz or .zst."
        )
    return file_format


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of `path`, decompressed if it ends in .gz or .zst.

    Raises:
        OSError: now or on reading; also for a compressed stream that is damaged or ends early.
        DataError: it is something else than text.
    """
    return decompressed_stream(path, path.open("rb"), 1 << 20)


def decompressed_stream(path: Path, plain: io.BufferedReader, block: int) -> io.BufferedReader:
    """The bytes of `plain`, which are those of `path`, decompressed `block` bytes at a time if its name says so.

    Raises:
        OSError, DataError: as `open_bytes`.
    """
    stream = plain
    if path.suffix in COMPRESSED:
        stream = io.BufferedReader(pa.CompressedInputStream(plain, COMPRESSED[path.suffix]), block)
    if what := non_text_reason(stream.peek(LENGTH)[:LENGTH]):
        stream.close()
        raise DataError(f"{path} {what}")
    return stream


def non_text_reason(beginning: bytes) -> str:
    """What a file that begins so is instead of text, and what to do about it; nothing if it may be text."""
    for bytes_, what in BEGINNINGS.items():
        if beginning.startswith(bytes_):
            return what
    if len(beginning) > 3 and not any(beginning):
        return "begins with nothing but zeros, as a crash or a full disk leaves behind. Make it again."
    for place, order in ((1, "le"), (0, "be")):  # ASCII in UTF-16 without a byte order mark
        if len(beginning) > 3 and not any(beginning[place::2]) and all(beginning[1 - place :: 2]):
            return UTF16.format(order)
    return ""
