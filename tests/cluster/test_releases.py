"""Other releases of Slurm than the installed one: their daemons run beside it, and a preempted run goes on exactly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import ROOT, Cluster, dev_slurm, finished, own_environment, until
from tests.cluster.login import Login, events, wait_for, wait_for_step

NEWEST = "26.05"
STEPS = ("trainer.steps=200", "checkpoint.every_steps=50", "resources.cpus=1")
"""A few seconds of training: long enough to interrupt."""


@pytest.fixture(scope="module", params=[NEWEST, pytest.param("24.11", marks=pytest.mark.slow)])
def cluster(
    request: pytest.FixtureRequest, packages: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One node of a cluster of that release; skipped where Debian's packages of it cannot be had."""
    install = [sys.executable, str(ROOT / "scripts/dev-slurm"), "install", "--release", request.param]
    made = finished(install, own_environment())
    if made.returncode:
        pytest.skip(f"no Slurm {request.param}: {made.stderr.strip().splitlines()[-1]}")
    folder = tmp_path_factory.mktemp("release") / "cluster"
    up = dev_slurm("up", folder, "--nodes", "1", "--release", request.param)
    assert up.returncode == 0, up.stderr
    cluster = Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
    assert cluster.says("sbatch", "--version").startswith(f"slurm-wlm {request.param}.")
    yield cluster
    assert dev_slurm("down", folder).returncode == 0


def test_a_preempted_run_goes_on_exactly_and_its_job_ends_once(login: Login) -> None:
    [run] = login.submit("name=makes-way", "cluster.qos=scavenger", *STEPS)
    wait_for_step(run, 60)
    login.cluster.submit("sleep 1", "--qos=production", "--gpus-per-node=2", "--time=1")
    assert wait_for(run)["cause"] == "preempted"
    done = login.train("name=uninterrupted", *STEPS)
    assert done.returncode == 0, done.stderr
    assert wait_for(run, 2)["cause"] == "completed"
    assert weights(run) == weights(RunDir(Path(done.stdout.strip())))

    job = str(events(run, "queued")[-1]["job_id"])
    until(lambda: login.cluster.state(job) in ("COMPLETED", "PREEMPTED"))
    assert " Restarts=1 " in login.cluster.says("scontrol", "show", "job", job)
    assert [event["cause"] for event in events(run, "end")] == ["preempted", "completed"]


def weights(run: RunDir) -> str:
    return str((run.read_result() or {})["weights_sha256"])
