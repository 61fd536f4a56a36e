"""A sweep of W&B whose point is a Slurm job: its own agent and client, a real Slurm, a stand-in for W&B's server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from passingloop import files
from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import finished
from tests.cluster.login import Login, events
from tests.conftest import ROOT
from tests.track.conftest import KEY
from tests.track.wandb_stand_in import WandbServer

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[WandbServer]:
    server = WandbServer()
    yield server
    server.stop()


def test_the_agent_waits_for_the_job_and_its_results_arrive_in_the_sweep(login: Login, server: WandbServer) -> None:
    server.sweep = yaml.safe_load((ROOT / "examples" / "wandb-sweep-slurm.yaml").read_text())
    server.sweep["command"] += ["cluster=dev", *login.small]
    server.points = [{"optim.lr": 1e-5, "trainer.seed": 1}]
    path = f"{Path(sys.executable).parent}{os.pathsep}{login.env['PATH']}"
    wandb = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "HOME": str(login.folder), "PATH": path}
    done = finished(["wandb", "agent", "me/p/s1"], login.env | wandb, login.folder)
    assert done.returncode == 0, done.stderr
    [run] = [RunDir(folder) for folder in (login.folder / "runs" / "wandb-sweep").iterdir()]
    assert server.sweep_of == {"point0": "s1"}
    assert [end["cause"] for end in events(run, "end")] == ["completed"]
    assert len(events(run, "queued")) == 1
    assert files.read_json(run.path / "wandb" / "agent.json")["run_id"] == "point0"
    assert [row for row in server.history["point0"] if "validation/accuracy" in row]
