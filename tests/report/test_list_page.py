"""The table of ``passingloop list``."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from passingloop.report.list_page import plain, table
from passingloop.track.metrics_file import json_value

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
KEYS = ["run", "state", "optim.lr", "created", "age", "gpu_hours", "tags", "note"]
ROWS = [
    ["a/0123", "completed", 0.0003, "2026-11-29T09:15:02+00:00", 10_000.0, 12.345, ["good", "v1"], "two\nlines"],
    ["longer/0123", "failed", None, "2026-11-03T09:15:02+00:00", 200_000.0, None, [], None],
]


def test_numbers_stand_right_and_times_are_short() -> None:
    assert list(table(KEYS, ROWS, NOW)) == [
        "run          state      optim.lr  created  age  gpu_hours  tags     note",
        "a/0123       completed    0.0003  09:15     3h       12.3  good v1  two lines",
        "longer/0123  failed               03 Nov    2d",
    ]


def test_on_a_terminal_the_last_text_is_below_and_others_are_cut() -> None:
    """But no run and no number."""
    keys = ["run", "state", "steps", "tags", "note"]
    rows = [["a-name/0123456789ab", "completed", 123456.0, ["tag" * 9, "other" * 5], "a long note " * 12]]
    assert list(table(keys, rows, NOW, 60)) == [
        "run                  state          steps  tags         note",
        "a-name/0123456789ab  completed  1.235e+05  tagtagtagt…",
        "    a long note a long note a long note a long note a long",
        "    note a long note a long note a long note a long note a",
        "    long note a long note a long note",
    ]
    assert list(table(["run", "state"], [["a" * 50, "completed"]], NOW, 20)) == [
        f"run{' ' * 47}  state",
        "a" * 50,
        "    completed",
    ]


def test_without_rows_there_is_a_header() -> None:
    assert list(table(["run", "state"], [], NOW, 80)) == ["run  state"]


def test_values_for_other_programs() -> None:
    assert [plain(value) for value in (None, True, ["a", "b"], 0.1, "x")] == ["", "true", "a b", 0.1, "x"]
    values = [json_value(value) for value in (math.nan, math.inf, -math.inf, 0.5, None, [1])]
    assert values == ["NaN", "Infinity", "-Infinity", 0.5, None, [1]]


def test_what_others_have_written_does_not_control_the_terminal() -> None:
    rows = [["a/0123", "\x1b]0;gone\x07 \x1b[2J \udcff"]]
    assert list(table(["run", "note"], rows, NOW))[1] == r"a/0123  \x1b]0;gone\x07 \x1b[2J \udcff"
