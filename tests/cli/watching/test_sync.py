from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.track.metrics_file import MetricsFile
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs
from tests.track.conftest import home, key, serve  # noqa: F401  # fixtures
from tests.track.test_wandb_upload import Serve


def offline(run: RunDir, name: str = "offline-run-20261129_120001-abc") -> RunDir:
    folder = run.path / "wandb" / name
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_text("an attempt")
    with MetricsFile(run.metrics, 1) as file:
        file.write(1, "train", {"loss": 0.5})
    return run


def test_ended_runs_are_due_and_others_with_all(verb: Verb, runs: Runs, hold: Hold) -> None:
    done = offline(runs.completed("name=done"))
    going = offline(runs.start(runs.new("name=going")))
    hold(going)
    runs.completed("name=never")
    only_ended = verb("sync", "--dry-run", "--json")
    assert [row["run"] for row in json.loads(only_ended.stdout)] == [str(done.path)]
    assert "1 run that may go on" in only_ended.stderr
    everything = json.loads(verb("sync", "--dry-run", "--all", "--json").stdout)
    assert {row["run"] for row in everything} == {str(done.path), str(going.path)}


def test_a_run_that_w_and_b_follows_now_is_left_alone(verb: Verb, runs: Runs, hold: Hold) -> None:
    going = offline(runs.start(runs.new()))
    offline(going, "run-20261129_130000-abc")
    hold(going)
    assert json.loads(verb("sync", "--dry-run", "--all", "--json").stdout) == []


@pytest.mark.process
@pytest.mark.usefixtures("key")
def test_runs_are_uploaded_once_with_figures_and_advice(verb: Verb, runs: Runs, serve: Serve) -> None:  # noqa: F811
    server = serve()
    run = offline(runs.start(runs.new("name=docs"), runs.compose("name=docs")))
    runs.end(run, "crash", 1, "it broke")
    done = verb("sync", "docs")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == f"{run.path} {server.url}/me/p/runs/{run.path.name} 1\n"
    for known in (b"report/gpu_hours", b"data_fingerprint", b"docs"):
        assert known in server.received
    again = verb("sync", "docs")
    assert (again.code, again.stdout, again.stderr) == (0, "", "Nothing is to be uploaded.\n")


@pytest.mark.process
def test_without_a_key_nothing_is_marked(verb: Verb, runs: Runs, serve: Serve) -> None:  # noqa: F811
    serve()
    run = offline(runs.start(runs.new(), runs.compose()))
    runs.end(run, "crash", 1)
    done = verb("sync")
    assert done.code == 3
    assert done.stderr.count("no API key was found. Set WANDB_API_KEY") == 1
    assert not (run.path / "wandb" / "uploads.jsonl").exists()


@pytest.mark.process
@pytest.mark.usefixtures("key")
def test_a_damaged_run_holds_up_no_other(verb: Verb, runs: Runs, serve: Serve) -> None:  # noqa: F811
    serve()
    damaged, whole = (offline(runs.start(runs.new(f"name={name}"), runs.compose())) for name in ("a", "b"))
    for run in (damaged, whole):
        runs.end(run, "crash", 1)
    damaged.attempts.write_text("{")
    done = verb("sync")
    assert done.code == 1
    assert f"{damaged.path} is left out: attempts.jsonl has no attempt" in done.stderr
    assert done.stdout.startswith(str(whole.path))


def test_nothing_to_do_is_said(verb: Verb, runs: Runs, work: Path) -> None:
    runs.completed()
    assert verb("sync").stderr == "Nothing is to be uploaded.\n"
