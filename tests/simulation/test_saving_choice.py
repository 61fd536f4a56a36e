"""Where a replay takes from how its jobs save: options, a drill, or what is usual."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from passingloop.errors import ConfigError
from passingloop.report.simulation.figure_words import saving_text
from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.saving_choice import add_saving_options, chosen_figures, saving_of


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_saving_options(parser)
    return parser.parse_args(words)


def drill(tmp_path: Path, **measured: Any) -> str:
    path = tmp_path / "drill.json"
    path.write_text(json.dumps({"exact": True, "measured": measured}))
    return str(path)


def test_options_go_before_the_drill_and_the_drill_before_what_is_usual(tmp_path: Path) -> None:
    file = drill(tmp_path, save_s=2.5, restart_s=33.0, save_every_s=None)
    figures = chosen_figures(options("--drill", file, "--restart", "20", "--save-every", "600"))
    assert saving_of(figures) == Saving(save_s=3.0, restart_s=20.0, every_s=600.0)
    assert saving_text(figures) == (
        "3.0 s to save when preempted (drill.json), 20 s to start again (--restart), "
        "10 min between saves (--save-every)"
    )
    usual = chosen_figures(options("--save", "3"))
    assert saving_of(usual) == Saving(save_s=3.0)
    assert [one.source for one in usual] == ["--save", "assumed", "assumed"]


def test_what_a_drill_has_not_measured_is_asked_for(tmp_path: Path) -> None:
    file = drill(tmp_path, save_s=None, restart_s=33.0, save_every_s=240.0)
    with pytest.raises(ConfigError, match=r"does not say save_s: no run .* Set --save as well"):
        chosen_figures(options("--drill", file))


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"exact": true}', '{"measured": 3}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other").write_text(content)
    with pytest.raises(ConfigError, match="not what `passingloop drill --json` prints"):
        chosen_figures(options("--drill", str(tmp_path / "other")))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        chosen_figures(options("--drill", str(tmp_path / "none")))
