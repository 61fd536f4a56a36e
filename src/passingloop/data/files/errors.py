"""Errors about files: which file, where in it, why it cannot be used, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from passingloop.data.rows.columns import Column
from passingloop.errors import DataError
from passingloop.text import list_excerpt


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """A context in which OSError and errors of pyarrow about `path` become DataError.

    Raises:
        DataError: the file cannot be opened, or is damaged.
    """
    try:
        yield
    except OSError as problem:
        why = problem.strerror or f"it is damaged or incomplete ({problem})"
        raise DataError(f"Cannot read {path}: {why}.") from problem
    except pa.ArrowException as problem:
        raise DataError(f"Cannot read {path}: it is damaged, or of another format ({problem}).") from problem


def encoding_error(path: Path, stream: BinaryIO) -> DataError:
    """The error for a file that is not UTF-8, with its first invalid line."""
    for number, line in enumerate(stream, 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as problem:
            return line_encoding_error(path, number, line, problem)
    raise AssertionError(f"{path} changed while it was read")


def line_encoding_error(path: Path, number: int, line: bytes, problem: UnicodeDecodeError) -> DataError:
    """The error for an invalid line; `number` counts from 1, `problem` is the exception from decoding it."""
    return DataError(
        f"{path}, line {number}: byte {line[problem.start]:#04x} is not UTF-8. Convert the file, "
        "for instance with iconv -f latin1 -t utf-8 if it is Latin-1."
    )


def check_columns(where: Path | str, wanted: Sequence[Column], present: Sequence[str], hint: str = "") -> None:
    """Check that every wanted column is present exactly once.

    Raises:
        DataError: one is missing, or several have its name.
    """
    for column in wanted:
        if column.name not in present:
            raise DataError(
                f"You set {column.setting}, but {where} has no column {column.name}. "
                f"It has: {names_excerpt(present)}.{_suggestion(column.name, present)}{hint}"
            )
        if present.count(column.name) > 1:
            raise DataError(
                f"You set {column.setting}, but {where} has {present.count(column.name)} columns named "
                f"{column.name}. Rename all but one."
            )


def names_excerpt(names: Sequence[str], most: int = 20) -> str:
    """The first `most` of `names`, cut after 40 characters, and how many more there are; "none" without names."""
    return list_excerpt([name if len(name) <= 40 else f"{name[:40]}…" for name in names], most) or "none"


def _suggestion(name: str, names: Sequence[str]) -> str:
    # Case is folded, because difflib finds no similarity between "Text" and "TEXT".
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]}?" if near else ""
