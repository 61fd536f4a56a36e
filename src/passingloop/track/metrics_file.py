"""``metrics.jsonl``: the numbers of a run, one JSON object per line, only ever appended to.

    {"time": "2026-11-03T09:15:02.118Z", "attempt": 1, "step": 120, "split": "train", "loss": 0.412}

JSON has no NaN and no infinity, and null would hide what was measured. They are written as the strings "NaN",
"Infinity" and "-Infinity"; `read_metrics` turns these back into floats.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Self

Row = dict[str, Any]

TAIL = 16_384
"""Bytes that `newest` reads, from the end: about a hundred lines."""

_FIXED = ("time", "attempt", "step", "split")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsFile:
    """The metrics of one attempt, appended to what earlier attempts have written.

    Every line is one write to the file system, so a killed process leaves at most one torn line, its last. What the
    file system does not take, being full, is kept until it does.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._held = b""
        # Unbuffered: after a failed write nothing is left behind that a later flush would repeat.
        self._file = FileIO(path, "a+")
        self._end_torn_line()

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Append `values` as measured after optimizer step `step` on `split`."""
        assert not set(values) & set(_FIXED), f"reserved names among {sorted(values)}"
        fixed: Row = {"time": _now(), "attempt": self._attempt, "step": step, "split": split}
        line = json.dumps(fixed | {key: _as_json(value) for key, value in values.items()}, allow_nan=False)
        self._held += line.encode() + b"\n"
        self._write_held()

    def close(self) -> None:
        self._write_held()
        self._file.close()

    def _write_held(self) -> None:
        with suppress(OSError):
            while self._held:
                self._held = self._held[self._file.write(self._held) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_torn_line(self) -> None:
        if self._file.seek(0, 2) == 0:
            return
        self._file.seek(-1, 2)
        if self._file.read(1) != b"\n":
            self._file.write(b"\n")


def read_metrics(path: Path) -> list[Row]:
    """All complete lines of the file, oldest first; torn ones are left out. No file is no lines."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [row for line in lines if (row := _parsed(line)) is not None]


def latest(rows: Iterable[Row]) -> list[Row]:
    """One row per (split, step), in order of steps: that of the highest attempt.

    An attempt repeats the steps between the checkpoint it continues from and the end of the one before it.
    """
    chosen: dict[tuple[str, int], Row] = {}
    for row in rows:
        key = (row["split"], row["step"])
        if key not in chosen or row["attempt"] >= chosen[key]["attempt"]:
            chosen[key] = row
    return sorted(chosen.values(), key=lambda row: row["step"])


def newest(path: Path) -> tuple[Row | None, Row | None]:
    """The last line, and the last that is not about training, if that was not long ago: quick for a long file.

    Non-finite values are left as the strings they are, for JSON.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().split(b"\n")[1 if size > TAIL else 0 :]
    except OSError:
        return None, None
    rows = [row for line in lines if (row := _whole(line)) is not None]
    validated = [row for row in rows if row["split"] != "train"]
    return rows[-1] if rows else None, validated[-1] if validated else None


def _parsed(line: bytes) -> Row | None:
    row = _whole(line)
    return row and {key: value if key in _FIXED else _as_number(value) for key, value in row.items()}


def _whole(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:  # cut off within a token or within a UTF-8 character
        return None
    return row if isinstance(row, dict) and all(key in row for key in _FIXED) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(value: float) -> float | str:
    if isinstance(value, int):
        return value
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _as_number(value: Any) -> Any:
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
