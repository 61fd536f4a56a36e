from __future__ import annotations

import logging
import re
import sys
import warnings
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from passingloop.track.log_handlers import route_logs

log = logging.getLogger("passingloop.somewhere")
library = logging.getLogger("some_library.module")


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), force_terminal=False, width=80)


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def written(file: Path) -> list[str]:
    """The lines, without their times."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in lines]


def test_our_messages_go_to_both(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "log"
    with route_logs(console, file):
        log.debug("details")
        log.info("step 30 [validation] %s", "å" * 100)
        log.warning("careful")
    assert shown(console) == ["step 30 [validation] " + "å" * 100, "warning: careful"]
    assert written(file) == [
        "DEBUG passingloop.somewhere: details",
        "INFO passingloop.somewhere: step 30 [validation] " + "å" * 100,
        "WARNING passingloop.somewhere: careful",
    ]


def test_libraries_go_to_the_file_from_warnings_on(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "log"
    library.setLevel(logging.INFO)
    with route_logs(console, file):
        library.info("chatter")
        library.warning("look")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old function", DeprecationWarning, stacklevel=1)
    assert shown(console) == []
    lines = written(file)
    assert lines[0] == "WARNING some_library.module: look"
    assert re.match(r"WARNING py\.warnings: .*DeprecationWarning: old function", lines[1])
    assert not any("chatter" in line for line in lines)


def test_a_traceback_is_in_the_file_and_its_message_on_the_console(console: Console, tmp_path: Path) -> None:
    with route_logs(console, tmp_path / "log"):
        try:
            raise ValueError("inner")
        except ValueError:
            log.exception("failed")
    assert shown(console) == ["error: failed"]
    assert "ValueError: inner" in written(tmp_path / "log")[-1]


def test_the_file_is_appended_to(console: Console, tmp_path: Path) -> None:
    for _ in range(2):
        with route_logs(console, tmp_path / "log"):
            log.info("again")
    assert len(written(tmp_path / "log")) == 2


def test_handlers_that_write_to_the_terminal_are_out_of_the_way_meanwhile(
    console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        with route_logs(console, tmp_path / "log"):
            log.info("once")
            library.warning("to the file")
        assert handler in root.handlers
    finally:
        root.removeHandler(handler)
    assert shown(console) == ["once"]
    assert capsys.readouterr().err == ""


def test_a_library_that_keeps_its_messages_to_itself_is_taken_over_and_given_back(
    console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library, handler = logging.getLogger("proud_library"), logging.StreamHandler(sys.stderr)
    library.addHandler(handler)
    library.propagate = False
    with route_logs(console, tmp_path / "log"):
        library.warning("noted")
    assert capsys.readouterr().err == ""
    assert written(tmp_path / "log") == ["WARNING proud_library: noted"]
    assert library.handlers == [handler]
    assert not library.propagate


def test_afterwards_all_is_as_before(console: Console, tmp_path: Path) -> None:
    ours, root = logging.getLogger("passingloop"), logging.getLogger()
    before = (list(ours.handlers), ours.level, list(root.handlers), root.level, warnings.showwarning)
    with route_logs(console, tmp_path / "log"):
        assert (list(ours.handlers), list(root.handlers)) != (before[0], before[2])
    assert (list(ours.handlers), ours.level, list(root.handlers), root.level, warnings.showwarning) == before
    log.warning("nobody listens")
    assert shown(console) == []


def test_a_log_on_a_full_disk_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with route_logs(None, Path("/dev/full")):
        logging.getLogger("passingloop").info("lost")
    assert capsys.readouterr().err == ""
