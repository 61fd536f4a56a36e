"""``passingloop notebook`` where there is no Slurm: what it needs, and the notebook that it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Verb
from tests.cli.made import Runs


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_without_jupyterlab_it_prints_the_line_that_installs_it(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    done = verb("notebook")
    assert done.code == 3
    assert "pip install 'passingloop[notebook]'" in done.stderr


def test_like_a_run_writes_a_notebook_once(verb: Verb, runs: Runs, work: Path) -> None:
    run = runs.completed()
    first = verb("notebook", "--like", run.path.parent.name)
    assert first.code == 3  # there is no Slurm
    [page] = work.glob("like-*.ipynb")
    assert f"Wrote {page}" in first.stderr
    written = page.read_text()
    assert "is complete after 40 steps" in json.loads(written)["cells"][0]["source"]
    page.write_text(written + "\n")  # as if it had been worked in
    again = verb("notebook", "--like", str(run.path))
    assert "is there already and stays as it is" in again.stderr
    assert page.read_text() == written + "\n"


def test_a_run_that_is_not_there_is_named(verb: Verb, work: Path) -> None:
    done = verb("notebook", "--like", "nothing")
    assert done.code == 2
    assert "nothing is no run" in done.stderr
    assert list(work.glob("*.ipynb")) == []
