"""The format of a file, from its name and first bytes, and decompression."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pyarrow as pa

from passingloop.config.build import did_you_mean
from passingloop.config.data import FormattedData
from passingloop.errors import DataError

Format = Literal["csv", "tsv", "jsonl", "parquet", "text"]

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
}
COMPRESSION_OF_SUFFIX = {".gz": "gzip", ".zst": "zstd"}

UTF32 = "is UTF-32, not UTF-8. Convert it, for instance with iconv -f utf-32 -t utf-8."
UTF16 = "is UTF-16, not UTF-8. Convert it, for instance with iconv -f utf-16{} -t utf-8."

SIGNATURES = {
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
"""First bytes of files that are not text, and a sentence without its subject. A longer one comes before its prefix."""

SIGNATURE_BYTES = 64
"""Bytes at the start of a file that are examined."""


def format_of(path: Path, config: FormattedData) -> Format:
    """The format that `data.format` sets, or that the suffix of the name has.

    Raises:
        DataError: the suffix is unknown, or the file is a compressed Parquet file.
    """
    inner = Path(path.stem) if path.suffix in COMPRESSION_OF_SUFFIX else path
    suffix = inner.suffix.lower()
    if config.format != "auto":
        file_format: Format = config.format
    elif suffix in FORMAT_OF_SUFFIX:
        file_format = FORMAT_OF_SUFFIX[suffix]
    else:
        raise DataError(
            f"The name of {path} does not tell its format.{did_you_mean(suffix, FORMAT_OF_SUFFIX)} "
            "A compressed file ends in .gz or .zst after that. Or set data.format=csv, tsv, jsonl, parquet "
            "or text."
        )
    if file_format == "parquet" and path.suffix in COMPRESSION_OF_SUFFIX:
        raise DataError(
            f"{path} is a Parquet file that is compressed again. Decompress it; Parquet needs no .gz or .zst."
        )
    return file_format


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of `path`, decompressed if it ends in .gz or .zst.

    Raises:
        OSError: it cannot be read; also later, for a compressed stream that is damaged or incomplete.
        DataError: it is not text.
    """
    return decompressed_stream(path, path.open("rb"), 1 << 20)


def decompressed_stream(path: Path, plain: io.BufferedReader, block: int) -> io.BufferedReader:
    """The bytes of `plain`, the content of `path`, decompressed `block` bytes at a time according to its suffix.

    Raises:
        OSError, DataError: as `open_bytes`.
    """
    stream = plain
    if path.suffix in COMPRESSION_OF_SUFFIX:
        stream = io.BufferedReader(pa.CompressedInputStream(plain, COMPRESSION_OF_SUFFIX[path.suffix]), block)
    if fault := non_text_reason(stream.peek(SIGNATURE_BYTES)[:SIGNATURE_BYTES]):
        stream.close()
        raise DataError(f"{path} {fault}")
    return stream


def non_text_reason(beginning: bytes) -> str:
    """What a file with this beginning is, and what to do, if it is not text; empty if it may be text."""
    for signature, reason in SIGNATURES.items():
        if beginning.startswith(signature):
            return reason
    if len(beginning) > 3 and not any(beginning):
        return "begins with nothing but zeros, as a crash or a full disk leaves behind. Make it again."
    for place, order in ((1, "le"), (0, "be")):  # ASCII in UTF-16 without a byte order mark
        if len(beginning) > 3 and not any(beginning[place::2]) and all(beginning[1 - place :: 2]):
            return UTF16.format(order)
    return ""
