"""Errors for a file that cannot be used: which file, where in it, why, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from passingloop.data.rows.columns import Column
from passingloop.errors import DataError


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """A context in which errors of the system and of pyarrow about `path` become DataError.

    Raises:
        DataError: it cannot be opened, or is damaged.
    """
    try:
        yield
    except OSError as problem:
        why = problem.strerror or f"it is damaged or incomplete ({problem})"
        raise DataError(f"Cannot read {path}: {why}.") from problem
    except pa.ArrowException as problem:
        raise DataError(f"Cannot read {path}: it is damaged, or of another format ({problem}).") from problem


def encoding_error(path: Path, stream: BinaryIO) -> DataError:
    """The error for a file in another encoding, with the first line that shows it."""
    for number, line in enumerate(stream, 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as problem:
            return line_encoding_error(path, number, line, problem)
    raise AssertionError(f"{path} changed while it was read")


def line_encoding_error(path: Path, number: int, line: bytes, problem: UnicodeDecodeError) -> DataError:
    """The error for the line of that number, counted from 1, which `problem` is about."""
    return DataError(
        f"{path}, line {number}: byte {line[problem.start]:#04x} is not UTF-8. Convert the file, "
        "for instance with iconv -f latin1 -t utf-8 if it is Latin-1."
    )


def check_columns(where: Path | str, wanted: Sequence[Column], present: Sequence[str], hint: str = "") -> None:
    """Every wanted column is present exactly once.

    Raises:
        DataError: one is missing, or there are several of that name.
    """
    for column in wanted:
        if column.name not in present:
            raise DataError(
                f"You set {column.setting}, but {where} has no column {column.name}. "
                f"It has: {shorten_list(present)}.{_nearest(column.name, present)}{hint}"
            )
        if present.count(column.name) > 1:
            raise DataError(
                f"You set {column.setting}, but {where} has {present.count(column.name)} columns named "
                f"{column.name}. Rename all but one."
            )


def shorten_list(names: Sequence[str], most: int = 20) -> str:
    """The first `most` of `names`, long ones cut, and how many more there are."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:40]}…" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"


def _nearest(name: str, names: Sequence[str]) -> str:
    # Case is folded because "Text" for "TEXT" is the likeliest slip, and to difflib the unlikeliest.
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]}?" if near else ""
