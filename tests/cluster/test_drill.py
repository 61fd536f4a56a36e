"""``passingloop drill`` in a real queue: requeued, killed and told to stop, and exact."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from passingloop.files import read_json
from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import PATIENCE, until
from tests.cluster.login import Login, events, first_run, wait_for_step

DRILL = [sys.executable, "-m", "passingloop.cli.main", "drill"]


def words(login: Login, steps: int) -> list[str]:
    kept = [word for word in login.small if not word.startswith(("trainer.steps", "trainer.log_every"))]
    return [*kept, f"trainer.steps={steps}", "launcher=slurm", "cluster=dev", "name=d"]


@pytest.mark.slow
def test_a_drill_in_the_queue(login: Login) -> None:
    command = [*DRILL, "--json", *words(login, 300), "checkpoint.every_steps=20"]
    done = subprocess.run(command, env=login.env, cwd=login.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["exact"]
    costs = {one["how"]: one["lost_steps"] for one in report["interruptions"]}
    assert costs.keys() == {"requeue", "kill", "signal"}
    assert costs["requeue"] == costs["signal"] == 0
    assert 0 < report["measured"]["save_s"] < report["measured"]["restart_s"] < PATIENCE
    baseline, twin = (RunDir(Path(report[name])) for name in ("baseline", "twin"))
    measured = read_json(baseline.measured)
    assert measured, "whether bf16 is faster, for one"
    assert measured.items() <= read_json(twin.measured).items(), "the twin goes by what the baseline has measured"
    assert {line["cause"] for line in events(twin, "end")} == {"requeued", "crash", "interrupted", "completed"}


@pytest.mark.slow
def test_ctrl_c_takes_both_runs_out_of_the_queue(login: Login) -> None:
    command = [*DRILL, *words(login, 20000)]
    process = subprocess.Popen(
        command, env=login.env, cwd=login.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    twin = first_run(login, "d-drill-twin")
    wait_for_step(twin, 1)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, ""), err
    until(lambda: not login.cluster.says("squeue", "--noheader", "--me"))
    states = json.loads(login.verb("status", "--json").stdout)
    assert [state["state"] for state in states] == ["cancelled", "cancelled"]
