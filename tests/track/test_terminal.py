"""The console of a command."""

from __future__ import annotations

import pytest

from passingloop.track.terminal import make_console, say


def test_the_console_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say(make_console(), "run  a")
    say(make_console(quiet=True), "run  b")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "run  a\n")
