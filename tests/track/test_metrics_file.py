from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from passingloop.track.metrics_file import (
    TAIL_BYTES,
    MetricsFile,
    NewestRows,
    latest_rows,
    lower_is_better,
    main_metric,
    newest_rows,
    read_metrics,
    steps_per_epoch,
)
from tests.conftest import Disk


def strict(line: str) -> dict[str, object]:
    """Parse as a reader that knows no more than the JSON standard."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(line, parse_constant=refuse)


def test_a_line_has_time_attempt_step_split_and_the_values(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, attempt=2) as metrics:
        metrics.write(120, "train", {"loss": 0.5, "lr": 1e-5, "samples": 3840})
        metrics.write(120, "validation", {"accuracy": 0.75})
    first, second = read_metrics(path)
    assert list(first) == ["time", "attempt", "step", "split", "loss", "lr", "samples"]
    assert (first["attempt"], first["step"], first["split"], first["loss"], first["lr"]) == (2, 120, "train", 0.5, 1e-5)
    assert isinstance(first["samples"], int)
    assert second["accuracy"] == 0.75
    age = datetime.now(UTC) - datetime.fromisoformat(first["time"])
    assert timedelta(0) - timedelta(milliseconds=1) <= age < timedelta(minutes=1)
    assert first["time"].endswith("Z")
    assert len(first["time"]) == len("2026-11-03T09:15:02.118Z")


def test_lines_are_on_disk_before_the_file_is_closed(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl", attempt=1)
    metrics.write(1, "train", {"loss": 1.0})
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    metrics.close()


def test_what_is_not_finite_stays_valid_json_and_comes_back_as_a_float(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, attempt=1) as metrics:
        metrics.write(1, "train", {"a": math.nan, "b": math.inf, "c": -math.inf})
    assert strict(path.read_text())["a"] == "NaN"
    (row,) = read_metrics(path)
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_numbers_of_numpy_are_written_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, attempt=1) as metrics:
        metrics.write(1, "train", {"loss": np.float32(0.5)})
    assert strict(path.read_text())["loss"] == 0.5


ODD = b'{"time": "", "attempt": 1, "step": "7", "split": "train", "loss": 0.5}'
"""A line with a step that is no number."""


@pytest.mark.parametrize("torn", [b'{"time": "2026-', b'{"time": "\xc3', b"{", b'{"a": 1}', ODD, b"\x00\x00\x00", b"7"])
def test_a_torn_last_line_costs_no_other_line(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, attempt=1) as metrics:
        metrics.write(1, "train", {"loss": 1.0})
    with path.open("ab") as file:
        file.write(torn)
    assert [row["step"] for row in read_metrics(path)] == [1]
    with MetricsFile(path, attempt=2) as metrics:
        metrics.write(2, "train", {"loss": 0.9})
    assert [(row["attempt"], row["step"]) for row in read_metrics(path)] == [(1, 1), (2, 2)]


def test_a_killed_writer_leaves_only_whole_lines_behind(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    endless = (
        "import sys; from pathlib import Path; from passingloop.track.metrics_file import MetricsFile\n"
        "metrics, step = MetricsFile(Path(sys.argv[1]), 1), 0\n"
        "while True:\n"
        "    step += 1; metrics.write(step, 'train', {'loss': 1.0})\n"
        "    if step == 100: print('running', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", endless, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    steps = [row["step"] for row in read_metrics(path)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 100
    assert len(path.read_bytes().split(b"\n")) - len(steps) <= 1


def test_what_a_full_disk_does_not_take_is_written_when_there_is_room(disk: Disk) -> None:
    path = disk.folder / "metrics.jsonl"
    with MetricsFile(path, attempt=1) as metrics:
        metrics.write(1, "train", {"loss": 0.5})
        disk.fill()
        for step in range(2, 400):  # more than what is left of the file's last page
            metrics.write(step, "train", {"loss": 0.5})
        assert len(read_metrics(path)) < 100
        disk.clear()
        metrics.write(400, "train", {"loss": 0.5})
        assert [row["step"] for row in read_metrics(path)] == list(range(1, 401))


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_values_cannot_take_the_place_of_fixed_fields(tmp_path: Path) -> None:
    with MetricsFile(tmp_path / "metrics.jsonl", attempt=1) as metrics, pytest.raises(AssertionError, match="step"):
        metrics.write(1, "train", {"step": 1.0})


def test_latest_takes_each_step_from_the_highest_attempt() -> None:
    def row(attempt: int, step: int, split: str = "train") -> dict[str, object]:
        return {"attempt": attempt, "step": step, "split": split}

    first = [row(1, 10), row(1, 20), row(1, 20, "validation"), row(1, 30)]
    second = [row(2, 20), row(2, 30), row(2, 40)]
    assert latest_rows(first + second) == [row(1, 10), row(2, 20), row(1, 20, "validation"), row(2, 30), row(2, 40)]
    assert latest_rows(second + first) == latest_rows(first + second)
    assert latest_rows([]) == []


def test_the_newest_rows_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert newest_rows(path) == NewestRows()
    with MetricsFile(path, 1) as file:
        file.write(1, "validation", {"loss": 0.5})
    newest = newest_rows(path)
    assert newest.last == newest.validated is not None
    assert newest.trained is None
    with MetricsFile(path, 1) as file:
        for step in range(2, 800):
            file.write(step, "train", {"loss": 1.0})
    assert path.stat().st_size > TAIL_BYTES
    newest = newest_rows(path)
    assert newest.last == newest.trained
    assert newest.last is not None and newest.last["step"] == 799
    assert newest.validated is None, "it was long ago"
    with MetricsFile(path, 2) as file:
        file.write(799, "validation", {"loss": float("nan")})
    with path.open("a") as torn:
        torn.write('{"step": 4')
    newest = newest_rows(path)
    assert newest.last == newest.validated
    assert newest.trained is not None and newest.trained["step"] == 799
    last = newest.last
    assert last is not None and (last["attempt"], last["loss"]) == (2, "NaN"), "as JSON can have it"


def test_how_many_steps_an_epoch_has(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert steps_per_epoch(path) is None
    with MetricsFile(path, 1) as file:
        file.write(7, "train", {"loss": 1.0, "epoch": 7 / 313})
        file.write(7, "validation", {"loss": 1.0})
    assert steps_per_epoch(path) == 313


def test_rows_of_a_superseded_attempt_that_come_late_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, attempt=1) as late, MetricsFile(path, attempt=2) as newer:
        late.write(4, "train", {"loss": 1.0})
        newer.write(3, "train", {"loss": 2.0})
        late.write(5, "validation", {"loss": 3.0})
    assert [(row["attempt"], row["step"]) for row in read_metrics(path)] == [(1, 4), (2, 3)]
    newest = newest_rows(path)
    assert newest.last and newest.last["step"] == 3
    assert newest.validated is None


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (("validation/loss", "test/loss", "test/accuracy"), "test/accuracy"),
        (("validation/accuracy", "test/loss"), "test/loss"),
        (("test/loss", "test/mae", "test/pearson"), "test/mae"),
        ((), None),
    ],
)
def test_the_metric_that_says_most(metrics: tuple[str, ...], chosen: str | None) -> None:
    assert main_metric(metrics) == chosen


def test_lower_is_better_by_the_last_words_of_the_name() -> None:
    lower = ("test/loss", "rmse", "validation/label_error", "validation/price/mae", "validation/error_rate", "test/ece")
    lower += ("validation/word_error_rate", "validation/bits_per_byte", "test/negative_log_likelihood")
    higher = ("f1", "test/macro_f1", "validation/mean_average_precision", "price/spearman", "test/log_likelihood")
    unknown = ("test/power", "answer", "validation/rate", "validation/surprise")
    said = {name: lower_is_better(name) for name in (*lower, *higher, *unknown)}
    assert said == dict.fromkeys(lower, True) | dict.fromkeys(higher, False) | dict.fromkeys(unknown)
