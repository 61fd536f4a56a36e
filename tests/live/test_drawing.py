"""Bars, lines of values and cut text: tables of what they are to look like."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from passingloop.live.drawing import (
    ASCII,
    BLOCKS,
    Line,
    Series,
    bar,
    changed_columns,
    cut,
    cut_line,
    glyphs_for,
    resampled,
    sparkline,
    stacked_bar,
    text_of,
    wrapped,
)


@pytest.mark.parametrize(
    ("share", "width", "shown"),
    [
        (0.0, 8, "────────"),
        (0.001, 8, "━───────"),
        (0.5, 8, "━━━━────"),
        (0.999, 8, "━━━━━━━─"),
        (1.0, 8, "━━━━━━━━"),
        (7.0, 8, "━━━━━━━━"),
        (-1.0, 8, "────────"),
        (0.5, 1, "─"),
        (0.5, 0, ""),
    ],
)
def test_a_bar_is_full_only_at_the_end(share: float, width: int, shown: str) -> None:
    assert text_of(bar(share, width, BLOCKS)) == shown


@pytest.mark.parametrize(
    ("amounts", "width", "widths"),
    [
        ([46, 8, 8, 0, 2], 64, [46, 8, 8, 0, 2]),
        ([1, 0, 0, 0, 999], 10, [1, 0, 0, 0, 9]),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([0, 0], 10, [0, 0]),
        ([5], 0, [0]),
        ([3, 3, 3, 1], 8, [3, 2, 2, 1]),
    ],
)
def test_parts_of_a_bar_add_up_and_none_is_lost(amounts: list[float], width: int, widths: list[int]) -> None:
    assert sorted(stacked_bar(amounts, width), reverse=True) == sorted(widths, reverse=True)
    assert all(
        got > 0 or amount == 0 or sum(widths) == width
        for got, amount in zip(stacked_bar(amounts, width), amounts, strict=True)
    )


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ((), 4, "    "),
        ((0.0, 1.0), 4, "  ▁█"),
        ((3.0, 3.0, 3.0), 3, "▁▁▁"),
        ((1.0, None, 2.0), 3, "▁ █"),
        ((1.0, math.nan, 2.0), 3, "▁██"),
        ((1.0, math.inf), 2, "▁█"),
        ((0.0, 0.0, 1.0, 1.0), 2, "▁█"),
    ],
)
def test_a_line_of_values(values: tuple[float | None, ...], width: int, shown: str) -> None:
    assert sparkline(Series(values), width, BLOCKS) == shown


def test_shares_are_shown_against_all_not_against_one_another() -> None:
    assert sparkline(Series((0.5, 0.52)), 2, BLOCKS, low=0.0, high=1.0) == "▅▅"
    assert sparkline(Series((0.0, 1.0)), 2, ASCII, low=0.0, high=1.0) == "_#"


def test_a_line_of_values_moves_and_keeps_its_shape() -> None:
    """Or it would flicker with each value that comes, and all of it would be sent to the terminal."""
    values = tuple(float(number % 7) for number in range(300))
    lines = [resampled(Series(values[at : at + 120], at), 30) for at in range(100)]
    for earlier, later in pairwise(lines):
        assert later[1:-1] in (earlier[1:-1], [*earlier[2:-1], earlier[-1]], earlier[2:])


@pytest.mark.parametrize(
    ("before", "after", "columns"),
    [
        ((("abc", ""),), (("abc", ""),), None),
        ((("a", ""), ("bc", "")), (("abc", ""),), None),
        ((("abc", ""),), (("abd", ""),), (2, 3)),
        ((("abc", ""),), (("a", ""), ("b", "bold"), ("c", "")), (1, 2)),
        ((("abc", ""),), (("ab", ""),), (2, 3)),
        ((), (("  x", ""),), (2, 3)),
    ],
)
def test_only_what_differs_is_drawn(before: Line, after: Line, columns: tuple[int, int] | None) -> None:
    assert changed_columns(before, after) == columns


def test_text_is_cut_to_its_width() -> None:
    assert [cut("sweep", width, BLOCKS) for width in (0, 1, 3, 5, 9)] == ["", "…", "sw…", "sweep", "sweep"]
    assert cut_line((("ab", "bold"), ("cdef", "")), 4, ASCII) == (("ab", "bold"), ("c~", ""))


def test_a_terminal_without_unicode_gets_other_characters() -> None:
    plain = [{"LANG": "C"}, {"LANG": "POSIX", "LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C", "LANG": "en_US.UTF-8"}]
    assert all(glyphs_for("utf-8", environment) is ASCII for environment in plain)
    rich = [{}, {"LANG": "C", "LC_ALL": "C.UTF-8"}, {"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, {"LANG": "C.UTF-8"}]
    assert all(glyphs_for("utf-8", environment) is BLOCKS for environment in rich)
    for encoding in ("ascii", "latin-1", "no such", None):
        assert glyphs_for(encoding, {}) is ASCII
    text = "".join((ASCII.levels, ASCII.done, ASCII.rest, *ASCII.gpus, ASCII.chosen, ASCII.more, ASCII.gap, ASCII.rule))
    assert text.isascii()


def test_what_is_carried_over_stands_below_the_second_column() -> None:
    text = "why       41 jobs are before it\n          Node n8 is out of service\nplain words that are long"
    assert wrapped(text, 24) == [
        "why       41 jobs are",
        "          before it",
        "          Node n8 is out",
        "          of service",
        "plain words that are",
        "long",
    ]
    assert wrapped("a\n\nb", 30) == ["a", "", "b"]


def test_no_text_controls_the_terminal_or_changes_the_width() -> None:
    assert text_of((("a\x1b[2J\x07", ""), ("é–█", "dim"))) == "a?[2J?é–█"
