"""The table of runs at every width."""

from __future__ import annotations

import pytest

from passingloop.live.drawing import ASCII, BLOCKS, Series, text_of, width_of
from passingloop.live.run_row import SORT_KEYS, Curves, Place, Progress, RunRow
from passingloop.live.table_layout import columns, header, left_text, percent_text, run_line
from tests.live.shown import NOW, half_way, run_row

CURVES = Curves(loss=Series((2.0, 1.0, 0.5, 0.25)), busy=Series((0.5, 0.97)))
ROWS = (
    run_row(progress=half_way()),
    run_row(progress=half_way(steps=None)),
    run_row(progress=half_way(loss=float("nan"), step=999, newest=NOW - 7200)),
    run_row("pending", message="jobs of higher priority are before it, and more is said of it than there is room for"),
    run_row("interrupted", "a-very-long-name-of-an-experiment/0123456789.2", confirmed=False),
    run_row("completed", progress=Progress(step=40, steps=40, metric=("accuracy", 0.91239))),
)


@pytest.mark.parametrize("width", [1, 5, 12, 20, 30, 43, 44, 59, 60, 75, 76, 80, 100, 110, 140, 400])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.state.kind)
@pytest.mark.parametrize("glyphs", [BLOCKS, ASCII], ids=["blocks", "ascii"])
def test_a_line_is_as_wide_as_the_terminal(width: int, row: RunRow, glyphs: type[BLOCKS]) -> None:  # type: ignore[valid-type]
    shape = columns(width, 30)
    line = run_line(row, CURVES, shape, NOW, glyphs, chosen=True)
    assert width_of(line) == width
    assert width_of(header(shape, "state", glyphs, reverse=True)) <= width
    assert glyphs is BLOCKS or text_of(line).isascii()


def shown(row: RunRow, width: int, longest: int = 16) -> str:
    return text_of(run_line(row, CURVES, columns(width, longest), NOW, BLOCKS, chosen=False)).rstrip()


def test_a_run_that_trains() -> None:
    row = run_row(progress=half_way())
    assert shown(row, 80) == "  sweep/3fa94c21be  running   ━━━━────  50%     █▄▂▁   0.25    ▅█  97%     2 min"
    assert shown(row, 60) == "  sweep/3fa94c21be        running   ━━━━─────  50%     2 min"
    assert shown(row, 44) == "  sweep/3fa94c21be  running    50%     2 min"
    assert shown(row, 24) == "  sweep/3fa94c run…  50%"
    wide = shown(row, 160)
    assert wide.count("━") >= 14
    assert wide.startswith("  sweep/3fa94c21be ")


def test_names_are_cut_so_that_runs_of_a_sweep_can_be_told_apart() -> None:
    row = run_row("pending", "learning-rates-of-llama/3fa94c21be.12", message="m")
    assert shown(row, 80, 40).split()[0] == "learni…/3fa94c.12"
    assert shown(row, 200, 40).split()[0] == "learning-rates-of-llama/3fa94c21be.12"


def test_what_slurm_does_not_confirm_has_a_question_mark() -> None:
    assert " running? " in shown(run_row(confirmed=False, progress=half_way()), 80)


def test_columns_that_are_sorted_by_stand_out() -> None:
    for sort in SORT_KEYS:
        text = text_of(header(columns(100), sort, BLOCKS, reverse=False))
        assert text.count("▼") == (sort != "since")
    assert "left ^" in text_of(header(columns(100), "left", ASCII, reverse=True))


def test_the_time_left_or_how_long_it_is_quiet() -> None:
    assert left_text(run_row(progress=half_way()), NOW) == ("2 min", "")
    assert left_text(run_row(progress=half_way(newest=NOW - 3700)), NOW) == ("quiet 1h", "bad")
    assert left_text(run_row(progress=half_way(newest=NOW - 720)), NOW) == ("quiet 12m", "bad")
    assert left_text(run_row("pending", place=Place(place=1, of=1)), NOW) == ("", "")


@pytest.mark.parametrize(("share", "text"), [(None, ""), (0.0, "0%"), (0.5, "50%"), (0.9999, "99%"), (1.0, "100%")])
def test_all_is_said_only_of_all(share: float | None, text: str) -> None:
    assert percent_text(share) == text
