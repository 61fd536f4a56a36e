"""``metrics.jsonl``: the metrics of a run, one JSON object per line, which are only appended.

    {"time": "2026-11-03T09:15:02.118Z", "attempt": 1, "step": 120, "split": "train", "loss": 0.412}

JSON has no NaN and infinity. They are written as the strings "NaN", "Infinity" and "-Infinity", which `read_metrics`
converts back to floats.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Self

Row = dict[str, Any]

TAIL_BYTES = 32_768
"""Bytes at the end of the file that `newest_rows` reads: about a hundred lines."""

_TRAINING = b'"split": "train"'
_FIXED: Mapping[str, type] = {"time": str, "attempt": int, "step": int, "split": str}
_LOWER_IS_BETTER = {
    *("loss", "error", "error_rate", "perplexity", "ppl", "mse", "mae", "rmse", "mape", "wer", "cer", "ter", "brier"),
    *("nll", "negative_log_likelihood", "cross_entropy", "bits_per_byte", "bits_per_character", "bpb", "bpc", "ece"),
}
_HIGHER_IS_BETTER = {
    *("accuracy", "acc", "f1", "precision", "recall", "auc", "auroc", "map", "mrr", "ndcg", "exact_match"),
    *("pearson", "spearman", "correlation", "r2", "mcc", "kappa", "bleu", "chrf", "rouge", "log_likelihood"),
}
"""Last words of the names of metrics."""
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsFile:
    """Appends the metrics of one attempt to those of earlier attempts.

    Every line is a single write, so that a killed process leaves at most one incomplete line, its last. Lines that
    cannot be written because the disk is full are kept in memory and written later.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._unwritten = b""
        # Unbuffered, so that nothing remains after a failed write that a later flush would repeat.
        self._file = FileIO(path, "a+")
        self._end_torn_line()

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Append `values` of `split` after optimizer step `step`."""
        assert not values.keys() & _FIXED.keys(), f"reserved names among {sorted(values)}"
        fixed: Row = {"time": _current_time(), "attempt": self._attempt, "step": step, "split": split}
        numbers = {key: value if isinstance(value, int) else json_value(float(value)) for key, value in values.items()}
        line = json.dumps(fixed | numbers, allow_nan=False)
        self._unwritten += line.encode() + b"\n"
        self._write_unwritten()

    def close(self) -> None:
        self._write_unwritten()
        self._file.close()

    def abandon(self) -> None:
        """Close the file without the lines that could not be written yet."""
        self._file.close()

    def _write_unwritten(self) -> None:
        with suppress(OSError):
            while self._unwritten:
                self._unwritten = self._unwritten[self._file.write(self._unwritten) :]

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


def read_metrics(path: Path, training_rows: int | None = None) -> list[Row]:
    """The rows of the file, oldest first, without incomplete, damaged and late lines; empty if there is no file.

    Args:
        training_rows: of training about so many are enough, spread over the file, with the last one: parsing all of
            them takes most of the time.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    if training_rows is not None:
        lines = _spread(lines, training_rows)
    return _without_late_rows(row for line in lines if (row := _parse_row(line)) is not None)


def _spread(lines: list[bytes], most: int) -> list[bytes]:
    """The lines, with at most twice `most` of training."""
    training = [number for number, line in enumerate(lines) if _TRAINING in line]
    kept = {*training[:: max(1, len(training) // most)], *training[-1:]}
    return [line for number, line in enumerate(lines) if _TRAINING not in line or number in kept]


def latest_rows(rows: Iterable[Row]) -> list[Row]:
    """For each split and step the row of the highest attempt, sorted by step.

    An attempt repeats the steps after the checkpoint from which it continues.
    """
    chosen: dict[tuple[str, int], Row] = {}
    for row in rows:
        key = (row["split"], row["step"])
        if key not in chosen or row["attempt"] >= chosen[key]["attempt"]:
            chosen[key] = row
    return sorted(chosen.values(), key=lambda row: row["step"])


@dataclass(frozen=True, slots=True)
class NewestRows:
    """The last row of a file, and its last ones of training and of evaluations; None where there is none."""

    last: Row | None = None
    trained: Row | None = None
    validated: Row | None = None


def newest_rows(path: Path) -> NewestRows:
    """Those in the last `TAIL_BYTES` of the file. Non-finite values remain strings, for JSON."""
    rows = _tail(path, _parse_line)
    trained, validated = ([row for row in rows if (row["split"] == "train") is wanted] for wanted in (True, False))
    return NewestRows(*(found[-1] if found else None for found in (rows, trained, validated)))


def recent_metrics(path: Path) -> list[Row]:
    """The rows in the last `TAIL_BYTES` of the file, as `read_metrics` has them; empty if it cannot be read."""
    return _tail(path, _parse_row)


def _tail(path: Path, parse: Callable[[bytes], Row | None]) -> list[Row]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")[1 if size > TAIL_BYTES else 0 :]
    except OSError:
        return []
    return _without_late_rows(row for line in lines if (row := parse(line)) is not None)


def steps_per_epoch(path: Path) -> int | None:
    """Steps of an epoch, from the last row of training in the last `TAIL_BYTES`; None if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            rows = [row for line in file.read().split(b"\n") if (row := _parse_line(line)) and row.get("epoch")]
    except OSError:
        return None
    return round(rows[-1]["step"] / rows[-1]["epoch"]) if rows else None


def values_of(row: Row) -> Row:
    """The metrics in a row, without its time, attempt, step and split."""
    return {name: value for name, value in row.items() if name not in _FIXED}


def named_values(row: Row) -> Row:
    """The metrics in a row by names such as ``validation/loss``."""
    return {f"{row['split']}/{name}": value for name, value in values_of(row).items()}


def json_value(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: the words for these."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number_of(value: Any) -> Any:
    """The number that `json_value` wrote; other values as they are."""
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def main_metric(metrics: Collection[str]) -> str | None:
    """The name of the first metric that is not a loss, else of the loss; of the test data, if they were evaluated.

    Args:
        metrics: their names, such as ``test/accuracy``.
    """
    tested = [name for name in metrics if name.startswith("test/")] or list(metrics)
    return next((name for name in tested if not name.endswith("/loss")), next(iter(tested), None))


def lower_is_better(metric: str) -> bool | None:
    """Whether less of a metric such as ``validation/loss`` is better, by the last words of its name; None if it is not
    known of them."""
    words = re.split(r"[/_]", metric.lower())
    for ending in ("_".join(words[first:]) for first in range(len(words))):  # log_likelihood may be negative_…
        if ending in _LOWER_IS_BETTER or ending in _HIGHER_IS_BETTER:
            return ending in _LOWER_IS_BETTER
    return None


def _without_late_rows(rows: Iterable[Row]) -> list[Row]:
    """Without the rows that an attempt has written after those of a newer one: it was superseded."""
    kept: list[Row] = []
    for row in rows:
        if not kept or row["attempt"] >= kept[-1]["attempt"]:
            kept.append(row)
    return kept


def _parse_row(line: bytes) -> Row | None:
    row = _parse_line(line)
    return row and {key: value if key in _FIXED else number_of(value) for key, value in row.items()}


def _parse_line(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:  # cut off within a token or within a UTF-8 character
        return None
    if not isinstance(row, dict) or not all(isinstance(row.get(key), kind) for key, kind in _FIXED.items()):
        return None
    return row


def _current_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
