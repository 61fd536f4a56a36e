"""``sweep.pack``: several runs side by side in one job of a real Slurm."""

from __future__ import annotations

import json

import pytest

from passingloop.attempts.pack import TURN
from passingloop.rundir.directory import RunDir
from tests.cluster.login import Login, events, wait_for, wait_for_step

LONG = ("trainer.steps=20000", "trainer.log_every=1")
"""Trains until it is stopped."""


def weights(run: RunDir) -> str:
    return str(json.loads(run.result.read_text())["weights_sha256"])


def test_a_member_that_fails_takes_no_other_down(login: Login) -> None:
    points = ("-m", "optim.lr=1e-3,1e38,2e-3", "trainer.steps=4", "retry.crash=0")
    runs = login.submit(*points, "name=pack", "sweep.pack=2")
    assert [wait_for(run)["cause"] for run in runs] == ["completed", "crash", "completed"]
    jobs = [events(run, "start")[0]["job_id"] for run in runs]
    assert jobs[0] == jobs[1] != jobs[2]
    assert [run.log(1, 0).exists() for run in runs] == [True, True, True]
    [failure] = [end["message"] for end in events(runs[1], "end")]
    assert "finite" in failure


@pytest.mark.slow
def test_all_members_save_and_the_job_goes_back_once(login: Login) -> None:
    points = ("-m", "trainer.seed=1,2", "trainer.steps=60", "trainer.log_every=1", "resources.cpus=1")
    alone = login.submit(*points, "name=alone")
    packed = login.submit(*points, "name=packed", "sweep.pack=2")
    for run in packed:
        wait_for_step(run, 2)
    login.cluster.says("scontrol", "requeue", events(packed[0], "start")[0]["job_id"])
    assert [wait_for(run)["cause"] for run in packed] == ["requeued", "requeued"]
    assert all(wait_for(run)["end_step"] >= 2 for run in packed)
    assert [wait_for(run, 2)["cause"] for run in packed] == ["completed", "completed"]
    assert len({event["job_id"] for run in packed for event in events(run, "start")}) == 1
    assert [wait_for(run)["cause"] for run in alone] == ["completed", "completed"]
    assert list(map(weights, packed)) == list(map(weights, alone))


@pytest.mark.slow
def test_one_member_is_cancelled_and_the_others_go_on(login: Login) -> None:
    runs = login.submit("-m", "name=some", "trainer.seed=1,2", "sweep.pack=2", *LONG)
    for run in runs:
        wait_for_step(run, 2)
    done = login.verb("cancel", str(runs[0].path))
    assert done.returncode == 0, done.stderr
    assert wait_for(runs[0])["cause"] == "cancelled"
    reached = json.loads(login.verb("status", str(runs[1].path), "--json").stdout)[0]["step"]
    wait_for_step(runs[1], reached + 5)
    assert "Cancelled" in login.verb("cancel", "some").stderr or events(runs[1], "cancel")
    assert wait_for(runs[1])["cause"] == "cancelled"


@pytest.mark.slow
def test_the_job_measures_how_many_fit(login: Login) -> None:
    runs = login.submit("-m", "name=auto", "trainer.seed=1,2,3", "sweep.pack=auto", *LONG)
    wait_for_step(runs[0], 1)
    assert [event["reason"] for event in events(runs[1], "wait")] == [TURN]
    assert TURN in " ".join(login.verb("status", str(runs[1].path)).stdout.split())
    wait_for_step(runs[1], 2)
    [first, second, *_] = (events(run, "start")[0] for run in runs[:2])
    assert first["job_id"] == second["job_id"]
    said = "".join(path.read_text() for path in login.folder.glob("runs/.passingloop-*/submissions/*/*.txt"))
    assert "runs train at once" in said


def test_runs_share_a_gpu_by_its_shards(login: Login) -> None:
    """Two runs on halves of a GPU, each with its part of the CPUs; the second waits for no other GPU."""
    runs = login.submit("-m", "name=shards", "trainer.seed=1,2", "resources=shard", "resources.shards=2", *LONG)
    for run in runs:
        wait_for_step(run, 1)
    jobs = [events(run, "start")[0]["job_id"] for run in runs]
    asked = [login.cluster.says("scontrol", "show", "job", job) for job in jobs]
    assert all("gres/shard=2" in job and "gres/gpu" not in job for job in asked)
    assert [events(run, "start")[0]["processes"] for run in runs] == [1, 1]
    rows = json.loads(login.verb("status", "--json", "shards").stdout)
    assert [(row["gpus"], row["shards"]) for row in rows] == [(0, 2)] * 2
    assert "2 shards of a GPU" in login.verb("status", "shards").stdout
    login.verb("cancel", "shards")


def test_more_shards_than_a_node_has_are_refused(login: Login) -> None:
    done = login.train("launcher=slurm", "resources=shard", "resources.shards=9")
    assert done.returncode == 2
    assert "resources.shards=9, but no node of partition main gives more than 8" in done.stderr
