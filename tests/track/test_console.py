from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from passingloop.track.console import make_console, print_header, print_result_table, say


def plain() -> Console:
    return Console(file=StringIO(), force_terminal=False, width=80)


def text_of(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_header_is_aligned_lines() -> None:
    console = plain()
    print_header(console, {"run": "runs/docs/3f9a", "where": "1 process", "データ": "日本"})
    assert text_of(console).splitlines() == ["run     runs/docs/3f9a", "where   1 process", "データ  日本"]


def test_paths_stay_whole_and_nothing_is_taken_for_markup() -> None:
    console, path = plain(), "/a/[bold]very/:smile:/long/path/" + "x" * 100
    print_header(console, {"run": path})
    print_result_table(console, "Done [in time]", {"export": path})
    assert text_of(console).splitlines() == [f"run  {path}", "Done [in time]", f"  export  {path}"]


def test_the_closing_table() -> None:
    console = plain()
    print_result_table(
        console, "Done", {"test/accuracy": 0.91234, "test/loss": 0.31234, "train_seconds": 125.3, "steps": 4300}
    )
    assert text_of(console).splitlines() == [
        "Done",
        "  test/accuracy  0.9123",
        "  test/loss      0.312",
        "  train_seconds  2 min 5 s",
        "  steps          4,300",
    ]


def test_no_colour_when_asked_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=StringIO(), force_terminal=True, width=80)
    print_result_table(console, "Done", {"a": 1})
    assert "\x1b[3" not in text_of(console)


def test_the_console_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say(make_console(), "run  a")
    say(make_console(quiet=True), "run  b")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "run  a\n")
