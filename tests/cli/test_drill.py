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
from typing import Any

import pytest

from passingloop.cli.drill import add_defaults, plan_interruptions
from passingloop.errors import ConfigError
from passingloop.report.drill_page import Interruption, course, differences, page
from passingloop.rundir import lock
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import End, Ledger
from passingloop.track.metrics_file import latest
from tests.cli.conftest import Verb
from tests.rundir.events import start
from tests.runs.conftest import small, tiny  # noqa: F401  # fixtures

pytestmark = pytest.mark.process

RESULT = {"weights_sha256": "aa", "metrics": {"test/loss": 0.5}, "steps": 4, "samples": 8, "tokens": 99}


def row(step: int, attempt: int = 1, loss: float = 1.0, split: str = "train", second: int = 0) -> dict[str, Any]:
    time = f"2026-11-03T09:00:{second:02d}.000Z"
    return {"time": time, "attempt": attempt, "step": step, "split": split, "loss": loss, "samples_per_second": second}


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


ROWS = [row(1), row(2), row(3), row(4), row(4, split="validation", loss=2.0)]


@pytest.mark.parametrize(
    ("twin", "rows", "said"),
    [
        ({}, ROWS, []),
        ({}, [row(1, second=9), row(2, loss=7.0), row(3, loss=7.0), *(r | {"attempt": 2} for r in ROWS[1:])], []),
        ({"weights_sha256": "bb"}, ROWS, ["the weights"]),
        ({"samples": 9}, ROWS, ["the counts: samples is 9 instead of 8"]),
        ({"metrics": {"test/loss": 0.25}}, ROWS, ["the result: test/loss is 0.25 instead of 0.5"]),
        ({}, [row(1), row(2, loss=1.5), row(3, loss=2.5), *ROWS[3:]], ["step 2 of train: loss is 1.5 instead of 1.0"]),
        ({}, ROWS[1:], ["the metrics: step 1 of train is in one of the runs only"]),
    ],
)
def test_what_differs(twin: dict[str, Any], rows: list[dict[str, Any]], said: list[str]) -> None:
    assert differences(RESULT, RESULT | twin, ROWS, latest(rows)) == said


def test_what_an_interruption_costs() -> None:
    rows = [row(1, second=1), row(2, second=2), row(2, 2, second=9), row(3, 2, second=10), row(3, 3, second=20)]
    starts = [start(attempt, start_step=step) for attempt, step in ((1, 0), (2, 1), (3, 2))]
    ledger = Ledger((*starts, End(attempt=2, end_step=3, cause="crash")))
    begin = 1793696400.0  # 2026-11-03T09:00:00Z
    done = [Interruption(how="kill", attempt=1, time=begin + 3), Interruption(how="signal", attempt=2, time=begin + 11)]
    costs = course(done, rows, ledger)
    assert [(cost["step"], cost["lost_steps"], cost["seconds"]) for cost in costs] == [(2, 1, 7.0), (3, 1, None)]
    report = {"exact": False, "steps": 4, "interruptions": costs, "differs": ["the weights"]}
    assert list(page(report)) == [
        "interruption  at step  steps lost  seconds to the next new step",
        "kill          2        1           7.0",
        "signal        3        1           -",
        "not exact: the weights",
    ]
    assert list(page(report | {"exact": True, "differs": []}))[-1].startswith("exact: after 4 steps")
    assert list(page(report | {"interruptions": [], "differs": []}))[-1].startswith("nothing is proved")


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
    assert lock.is_held(run)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert not lock.is_held(run)
    assert not run.result.exists()


def _until(found: Callable[[], RunDir | None], process: subprocess.Popen[str]) -> RunDir:
    while (run := found()) is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return run
