"""``passingloop drill`` in a shell: what it plans, what it compares, and that it leaves nothing running."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.cli.runs.drill import add_defaults, plan_interruptions
from passingloop.errors import ConfigError
from passingloop.rundir import lock
from passingloop.rundir.directory import RunDir
from tests.cli.conftest import Verb
from tests.runs.conftest import small, tiny  # noqa: F401  # fixtures

pytestmark = pytest.mark.process


def test_every_kind_comes_in_turn_at_steps_that_are_there() -> None:
    for seed in range(200):
        planned = plan_interruptions(60, 3, ("requeue", "kill", "signal"), random.Random(seed))
        steps = [step for step, _ in planned]
        assert steps == sorted(set(steps))
        assert {how for _, how in planned} == {"requeue", "kill", "signal"}
        assert steps[0] >= 1
        assert steps[-1] <= 48
    assert plan_interruptions(60, 3, ("kill", "signal"), random.Random(7)) == plan_interruptions(
        60, 3, ("kill", "signal"), random.Random(7)
    )
    assert len(plan_interruptions(2, 1, ("kill", "signal"), random.Random(0))) == 1


@pytest.mark.parametrize("count", [0, -1, 9])
def test_too_many_interruptions(count: int) -> None:
    with pytest.raises(ConfigError, match=f"--interruptions {count}, but a run of 10 steps has room for 1 to 8"):
        plan_interruptions(10, count, ("kill",), random.Random(0))


def test_what_is_set_stays() -> None:
    assert "trainer.steps=60" in add_defaults([])
    words = add_defaults(["trainer.epochs=2", "checkpoint.every=auto", "tracking=offline", "rerun=true", "+a=1"])
    assert [word for word in words if word.startswith(("trainer.", "checkpoint.", "tracking"))] == [
        "trainer.deterministic=true",
        "trainer.log_every=1",
        "trainer.epochs=2",
        "checkpoint.every=auto",
        "tracking=offline",
    ]
    assert words[-1] == "+a=1"
    assert "rerun=true" not in words, "the drill says when a run is afresh"


@pytest.fixture
def words(small: tuple[str, ...], cache: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:  # noqa: F811
    monkeypatch.setenv("PASSINGLOOP_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return (*(word for word in small if "steps" not in word), "trainer.steps=40", "checkpoint.every_steps=4", "name=d")


@pytest.mark.slow
def test_a_drill_in_a_shell(verb: Verb, words: tuple[str, ...], work: Path) -> None:
    done = verb("drill", "--interruptions", "2", "--json", *words)
    assert done.code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["exact"], report["differs"], report["steps"]) == (True, [], 40)
    costs = {one["how"]: one for one in report["interruptions"]}
    assert costs.keys() == {"kill", "signal"}
    assert costs["signal"]["lost_steps"] <= 1
    assert costs["kill"]["lost_steps"] < 4 + 3, "the interval, and what is done while the signal is on its way"
    measured = report["measured"]
    assert 0 < measured["save_s"] < measured["restart_s"]
    assert 0 < measured["save_every_s"] < 60, "the time of four steps"
    twin = RunDir(Path(report["twin"]))
    assert twin.path.parent == work / "runs" / "d-drill-twin"
    assert RunDir(Path(report["baseline"])).result.exists()
    assert "exact: after 40 steps" in done.stderr


def test_a_run_that_fails_by_itself(verb: Verb, words: tuple[str, ...]) -> None:
    done = verb("drill", *words, "optim.lr=1e38")
    assert (done.code, done.stdout) == (1, "")
    assert "although nobody interrupted it" in done.stderr


def test_mistakes_are_answered_as_those_of_train(verb: Verb) -> None:
    done = verb("drill", "optim.lrr=1")
    assert (done.code, done.stdout) == (2, "")
    assert "Did you mean optim.lr?" in done.stderr
    assert verb("drill", "launcher=slurm", "cluster=dev").code == 3, "there is no Slurm here"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_nothing_is_left_running(words: tuple[str, ...], work: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "passingloop.cli.main", "drill", *words, "trainer.steps=20000"]
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = _until(lambda: next((RunDir(path.parent) for path in work.glob("runs/*/*/metrics.jsonl")), None), process)
    assert lock.is_locked(run)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert not lock.is_locked(run)
    assert not run.result.exists()


def _until(found: Callable[[], RunDir | None], process: subprocess.Popen[str]) -> RunDir:
    while (run := found()) is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return run
