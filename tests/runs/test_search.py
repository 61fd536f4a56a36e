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
from tests.conftest import ROOT, Finished
from tests.runs.small import lines

pytestmark = [pytest.mark.process, pytest.mark.slow]

HALVING = ("-m", "name=lr", "sweep.search=halving", "sweep.rungs=2", "sweep.eta=2", "tracking=none")


def runs_of(done: Finished) -> list[RunDir]:
    return [RunDir(Path(line)) for line in done.stdout.splitlines()]


def test_rung_by_rung_and_with_a_point_that_came_later(train: Callable[..., Finished], small: tuple[str, ...]) -> None:
    done = train(*small, *HALVING, "optim.lr=1e-3,1e-2")
    assert done.code == 0, done.stderr
    runs = runs_of(done)
    ends = [[(end["cause"], end["end_step"]) for end in lines(run.attempts, event="end")] for run in runs]
    assert sorted(ends) == [[("paused", 6)], [("paused", 6), ("completed", 12)]]
    assert "2 of 2 points have begun, 1 went on to rung 2" in done.stderr
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
