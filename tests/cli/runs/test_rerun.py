"""``passingloop rerun``: with which settings, and of which runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.cli.runs.rerun import last_config
from passingloop.config.build import to_plain
from passingloop.errors import ConfigError
from passingloop.files import write_json
from passingloop.plan import run_folder
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.rundir.tasks import TrainTask
from tests.cli.conftest import Verb
from tests.cli.made import CODE, Runs
from tests.conftest import Compose


def test_the_settings_are_those_of_the_last_launch(runs: Runs, compose: Compose, work: Path) -> None:
    config = compose("name=a", "checkpoint.keep=5", "rerun=true")
    run = runs.new("name=a")
    assert last_config(run).checkpoint.keep == compose("name=a").checkpoint.keep
    last = last_config(runs.start(run, config))
    assert (last.checkpoint.keep, last.launcher.kind, last.rerun) == (5, "slurm", False)
    assert run_folder(last) == run.path
    (work / "runs" / "a").rename(work / "runs" / "b")
    moved = RunDir(work / "runs" / "b" / run.path.name)
    assert (last_config(moved).name, run_folder(last_config(moved))) == ("b", moved.path)


def test_the_settings_are_those_of_the_last_submission(runs: Runs, compose: Compose) -> None:
    home = Home.for_user(compose().run_root)
    run = runs.start(runs.new("name=a"), compose("name=a", "checkpoint.keep=5"))
    home.create()
    submission = home.new_submission()
    settings = to_plain(compose("name=a", "checkpoint.keep=6"))
    submission.write_intent([TrainTask(run=run, code=CODE, settings=settings)], Path("0123"))
    submission.accept("12")
    assert last_config(run).checkpoint.keep == 6


def test_settings_that_are_another_run_by_now(runs: Runs, compose: Compose) -> None:
    run = runs.new("name=a")
    other = replace(compose("name=a"), trainer=replace(compose().trainer, seed=99))
    with pytest.raises(ConfigError, match="another version"):
        last_config(runs.start(run, other))


def test_what_is_submitted_again(verb: Verb, runs: Runs) -> None:
    runs.completed("name=done")
    runs.end(runs.start(runs.new("name=stopped")), "interrupted")
    assert "nothing to submit" in verb("rerun", "done").stderr
    assert "nothing to submit" in verb("rerun", "--failed").stderr
    done = verb("rerun")
    assert (done.code, done.stdout) == (3, ""), "there is no Slurm to submit to"
    write_json(runs.new("name=stopped", number=2).result, {"metrics": {}})
    assert "nothing to submit" in verb("rerun").stderr, "rerun=true has done it afresh"
