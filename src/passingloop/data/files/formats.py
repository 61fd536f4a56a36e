"""The format of a file by its name, and its bytes without their compression."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pyarrow as pa

from passingloop.config.build import did_you_mean
from passingloop.config.data import FilesData, GcsData
from passingloop.data.files.magic import LENGTH, not_text
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


def format_of(path: Path, config: FilesData | GcsData) -> Format:
    """The format that `data.format` sets, or the name tells.

    Raises:
        DataError: the name tells none, or it is a compressed Parquet file.
    """
    inner = Path(path.stem) if path.suffix in COMPRESSED else path
    ending = inner.suffix.lower()
    if config.format != "auto":
        found: Format = config.format
    elif ending in BY_ENDING:
        found = BY_ENDING[ending]
    else:
        raise DataError(
            f"The name of {path} does not tell its format.{did_you_mean(ending, BY_ENDING)} "
            "A compressed file ends in .gz or .zst after that. Or set data.format=csv, tsv, jsonl, parquet "
            "or text."
        )
    if found == "parquet" and path.suffix in COMPRESSED:
        raise DataError(
            f"{path} is a Parquet file that is compressed again. Decompress it; Parquet needs no .gz or .zst."
        )
    return found


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of `path`, decompressed if it ends in .gz or .zst.

    Raises:
        OSError: now or on reading; also for a compressed stream that is damaged or ends early.
        DataError: it is something else than text.
    """
    return decompressed(path, path.open("rb"), 1 << 20)


def decompressed(path: Path, plain: io.BufferedReader, block: int) -> io.BufferedReader:
    """The bytes of `plain`, which are those of `path`, decompressed `block` bytes at a time if its name says so.

    Raises:
        OSError, DataError: as `open_bytes`.
    """
    stream = plain
    if path.suffix in COMPRESSED:
        stream = io.BufferedReader(pa.CompressedInputStream(plain, COMPRESSED[path.suffix]), block)
    if what := not_text(stream.peek(LENGTH)[:LENGTH]):
        stream.close()
        raise DataError(f"{path} {what}")
    return stream
