"""The recorded demo is short, small, says nothing of the machine on which it was made, and its drawings show it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "demo"
CAST = FOLDER / "demo.cast"
DRAWINGS = sorted(FOLDER.glob("*.svg"))
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


def shown() -> str:
    """All that the recording shows, without colours."""
    lines = CAST.read_text(encoding="utf-8").splitlines()[1:]
    return CONTROL.sub("", "".join(json.loads(line)[2] for line in lines))


def test_the_recording_is_an_asciicast_of_at_most_five_minutes() -> None:
    header, *events = map(json.loads, CAST.read_text(encoding="utf-8").splitlines())
    assert header["version"] == 2
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    assert 20 < times[-1] <= 300


@pytest.mark.parametrize("file", [CAST, *DRAWINGS], ids=lambda file: file.name)
def test_files_are_small_and_say_nothing_of_the_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.encode()) < 500_000
    paths = set(re.findall(r"(?<![\w.])/(?:home|root|work|tmp|opt|var|usr)/[\w/-]+", text))
    demo = "/tmp/demo/"  # a path may be cut at the edge of the terminal
    assert {path for path in paths if not path.startswith(demo) and not demo.startswith(path)} == set()
    assert not re.search(r"\w+@\w+", text), "a prompt with a user and a host"


def test_it_shows_a_preemption_and_a_run_that_goes_on() -> None:
    text = shown()
    assert "The same command continues." in text
    assert "Submitted 2 runs as Slurm job" in text
    assert re.search(r"completed +\d+_\d +2 +60/60", text), "a run of the sweep that needed a second attempt"


@pytest.mark.parametrize("file", DRAWINGS, ids=lambda file: file.name)
def test_drawings_show_what_was_recorded(file: Path) -> None:
    """Each row of a drawing is somewhere in the recording, white space aside."""
    recorded = "".join(shown().split())
    rows = [
        "".join("".join(row.itertext()).split())
        for row in ElementTree.parse(file).getroot().iter("{http://www.w3.org/2000/svg}text")
    ]
    assert len(rows) > 10
    assert [row for row in rows if row not in recorded] == []
