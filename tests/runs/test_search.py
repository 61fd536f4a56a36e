"""``python train.py -m sweep.search=halving`` here: rung by rung, and where a part of it ended before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop import files
from passingloop.rundir.directory import RunDir
from passingloop.search.decision_round import decide
from passingloop.search.enrolment import add_points
from tests.conftest import ROOT, Finished, composed
from tests.runs.small import lines

pytestmark = pytest.mark.process

HALVING = ("-m", "name=lr", "sweep.search=halving", "sweep.rungs=2", "sweep.eta=2", "tracking=none")


def runs_of(done: Finished) -> list[RunDir]:
    return [RunDir(Path(line)) for line in done.stdout.splitlines()]


def test_what_training_leaves_is_what_is_decided_by(
    train_here: Callable[..., RunDir], small: tuple[str, ...], tmp_path: Path, cache: Path
) -> None:
    """The same in this process, with one attempt after another."""
    words = (*small, "sweep.search=halving", "sweep.rungs=2", "sweep.eta=2")
    configs = [composed(tmp_path, f"cache_root={cache}", "tracking=none", *words, f"trainer.seed={n}") for n in (1, 2)]
    file = add_points(configs, one_by_one=True)
    trained = []
    while owed := decide(file, "a test"):
        pause = ["trainer.pause_at=0.5"] if owed[0].rung == 0 else []
        trained.append((train_here(*words, f"trainer.seed={owed[0].config.trainer.seed}", *pause), owed[0].rung))
        assert trained[-1][0] == owed[0].run
    assert [rung for _, rung in trained] == [0, 0, 1]
    sweep = file.read()
    assert sweep
    losses = {lines(run.metrics, split="validation", step=6)[0]["loss"]: run for run, _ in trained[:2]}
    assert trained[2][0] == losses[min(losses)], "the better one went on"
    assert [entry.reported[0].value in losses for entry in sweep.entries.values()] == [True, True]


@pytest.mark.slow
def test_rung_by_rung_and_with_a_point_that_came_later(train: Callable[..., Finished], small: tuple[str, ...]) -> None:
    done = train(*small, *HALVING, "optim.lr=1e-3,1e-2")
    assert done.code == 0, done.stderr
    runs = runs_of(done)
    ends = [[(end["cause"], end["end_step"]) for end in lines(run.attempts, event="end")] for run in runs]
    assert sorted(ends) == [[("paused", 6)], [("paused", 6), ("completed", 12)]]
    assert "2 of 2 points are told to train, 1 went on to rung 2" in done.stderr
    best = next(run for run in runs if run.result.exists())
    whole = train(*small, "name=whole", "tracking=none", f"optim.lr={'1e-3' if best == runs[0] else '1e-2'}")
    assert whole.code == 0, whole.stderr
    [other] = runs_of(whole)
    key = "weights_sha256"
    assert files.read_json(best.result)[key] == files.read_json(other.result)[key], "a rung costs nothing twice"
    again = train(*small, *HALVING, "optim.lr=1e-3,1e-2,1e38")
    assert again.code == 1
    assert "1 point has no value" in again.stderr
    assert len(lines(best.attempts, event="end")) == 2, "nothing else was to do"


@pytest.mark.slow
def test_interrupted_it_continues(
    work: Path, cache: Path, small: tuple[str, ...], train: Callable[..., Finished]
) -> None:
    words = [*small, *HALVING, "optim.lr=1e-3,1e-2", "trainer.steps=200"]
    command = [sys.executable, str(ROOT / "train.py"), *words, f"cache_root={cache}"]
    process = subprocess.Popen(command, cwd=work, start_new_session=True, stderr=subprocess.PIPE, text=True)
    ledger = work / "runs" / "lr" / "sweep.jsonl"
    while not (runs := [path for path in (work / "runs" / "lr").glob("*/metrics.jsonl") if path.stat().st_size]):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] is None
    assert process.returncode == 130
    assert len(runs) == 1
    assert "interrupted" in files.read_json_lines(ledger)[-1]["why"]
    done = train(*words)
    assert done.code == 0, done.stderr
    ends = [[end["cause"] for end in lines(run.attempts, event="end")] for run in runs_of(done)]
    assert ends[0][0] == "interrupted"
    assert sum(each[-1] == "completed" for each in ends) == 1
