"""What is on the screen after keys, and as runs come and go."""

from __future__ import annotations

import pytest

from passingloop.live.board import Board, Slurm
from passingloop.live.drawing import BLOCKS, text_of
from passingloop.live.key_bindings import FAR, FIRST, HINTS, hints_line, lines_moved, rearranged
from passingloop.live.picture import MESSAGE_SECONDS, Page, Picture, Question
from passingloop.live.run_row import Arrangement, RunRow
from tests.live.shown import NOW, half_way, run_row

ROWS = tuple(run_row("pending", f"sweep/{name}", job_id=str(index)) for index, name in enumerate("abcdef"))


def picture(*rows: RunRow, width: int = 80, height: int = 24) -> Picture:
    shown = Picture(BLOCKS, "You have no runs.")
    shown.board = Board(now=NOW, slurm=Slurm(answered=NOW), rows=rows)
    shown.fit(width, height)
    return shown


def names(shown: Picture) -> list[str]:
    return [row.name for row in shown.shown]


def chosen(shown: Picture) -> str | None:
    return shown.chosen_row.name if shown.chosen_row else None


def update(shown: Picture, *rows: RunRow) -> None:
    shown.board = Board(now=NOW, slurm=Slurm(answered=NOW), rows=rows)
    shown.fit(shown.width, shown.height)


def test_the_chosen_run_stays_chosen_wherever_it_goes() -> None:
    shown = picture(*ROWS)
    assert chosen(shown) == "sweep/a"
    shown.move(2)
    shown.fit(80, 24)
    assert (chosen(shown), shown.number) == ("sweep/c", 2)
    update(shown, run_row("running", "sweep/new"), *ROWS)
    assert (chosen(shown), shown.number) == ("sweep/c", 3)


def test_when_the_chosen_run_goes_the_next_one_is_chosen() -> None:
    shown = picture(*ROWS)
    shown.move(2)
    shown.fit(80, 24)
    update(shown, *(row for row in ROWS if row.name != "sweep/c"))
    assert chosen(shown) == "sweep/d"
    shown.move(FAR)
    shown.fit(80, 24)
    assert chosen(shown) == "sweep/f"
    update(shown, *ROWS[:2])
    assert chosen(shown) == "sweep/b"
    update(shown)
    assert (chosen(shown), shown.count, text_of(shown.line(0, True))) == (None, 1, "  You have no runs.")
    update(shown, *ROWS)
    assert chosen(shown) == "sweep/a"


def test_a_filter_is_typed_mended_kept_and_dropped() -> None:
    shown = picture(*ROWS, run_row("running", "other/z"))
    shown.typing = True
    for key, character in (("o", "o"), ("x", "x"), ("backspace", None), ("up", None), ("t", "t")):
        shown.type(key, character)
    shown.fit(80, 24)
    assert (shown.arrangement.words, names(shown)) == ("ot", ["other/z"])
    assert text_of(shown.foot(0.0)[0]).startswith("/ot_")
    shown.type("enter", "\r")
    assert (shown.typing, shown.arrangement.words) == (False, "ot")
    shown.typing = True
    shown.type("ctrl+u", None)
    assert shown.arrangement.words == ""
    shown.type("q", "q")
    shown.fit(80, 24)
    assert (names(shown), text_of(shown.line(0, False)).strip()) == ([], "no run is like that; escape shows all")
    shown.type("escape", None)
    assert (shown.typing, shown.arrangement.words) == (False, "")


def test_the_last_line_asks_tells_and_names_the_keys() -> None:
    shown = picture(*ROWS)
    assert text_of(shown.foot(0.0)[0]).startswith("l log  c cancel")
    shown.tell("Told job 7\n to stop.", "good", clock=100.0)
    assert [text_of(line) for line in shown.foot(100.0 + MESSAGE_SECONDS - 1)] == ["Told job 7 to stop."]
    assert text_of(shown.foot(100.0 + MESSAGE_SECONDS)[0]).startswith("l log")
    shown.question = Question("Cancel it?", lambda: None)
    assert text_of(shown.foot(100.0)[0]) == "Cancel it?   y yes  any other key no"


def test_on_a_low_screen_the_last_line_is_there_only_if_it_asks() -> None:
    shown = picture(*ROWS, height=5)
    assert (shown.foot(0.0), shown.detail()) == ([], [])
    shown.question = Question("Cancel it?", lambda: None)
    assert len(shown.foot(0.0)) == 1


def test_a_page_takes_the_place_of_the_runs() -> None:
    shown = picture(*ROWS, width=30)
    shown.page = Page("Why it waits", "why   jobs of higher priority are before it\n\nend")
    shown.fit(30, 24)
    assert (shown.count, shown.number, shown.detail()) == (4, None, [])
    lines = [text_of(shown.line(number, False)) for number in range(5)]
    assert lines == ["why   jobs of higher priority", "      are before it", "", "end", ""]
    assert text_of(shown.head()[0]) == "Why it waits"
    assert not shown.lacks_curves(range(5))


def test_the_detail_is_always_as_high() -> None:
    shown = picture(run_row(progress=half_way()), run_row("missing", "sweep/z"))
    height = len(shown.detail())
    shown.move(1)
    shown.fit(80, 24)
    assert len(shown.detail()) == height > 1


def test_runs_that_come_into_sight_have_no_curves_yet() -> None:
    shown = picture(run_row(), run_row("pending", "sweep/z"))
    assert shown.lacks_curves(range(9))
    assert not shown.lacks_curves(range(1, 9))


@pytest.mark.parametrize(
    ("key", "lines"), [("down", 1), ("k", -1), ("pagedown", 9), ("pageup", -9), ("G", FAR), ("home", -FAR), ("x", 0)]
)
def test_keys_that_move(key: str, lines: int) -> None:
    assert lines_moved(key, 9) == lines


def test_keys_that_rearrange() -> None:
    before = Arrangement(words="a", active_only=True)
    assert rearranged(before, "escape") == Arrangement()
    assert rearranged(Arrangement(), "a") == Arrangement(active_only=True)
    assert rearranged(Arrangement(), "r") == Arrangement(reverse=True)
    assert rearranged(Arrangement(), "o") == Arrangement(sort="name")
    assert rearranged(before, "x") == before


@pytest.mark.parametrize("width", range(0, 90, 3))
def test_keys_are_named_as_far_as_there_is_room(width: int) -> None:
    line = text_of(hints_line(width))
    assert len(line) <= width
    assert width < 15 or "? help  q quit" in line
    assert set(FIRST) == {key for key, _ in HINTS}
