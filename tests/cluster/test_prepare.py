"""On Slurm data are prepared by a job without GPUs, for which the runs wait."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for

ALWAYS = "cluster.prepare_ahead=always"


@pytest.fixture
def fresh(login: Login, tmp_path: Path) -> Login:
    """With nothing in its cache: that of the other tests has tokens of the same texts."""
    return login.but(PASSINGLOOP_CACHE=str(tmp_path / "cache"))


def state_of(login: Login, name: str) -> dict[str, str]:
    """What ``passingloop status`` says of the one run of that name."""
    [row] = json.loads(login.verb("status", name, "--json").stdout)
    assert isinstance(row, dict)
    return row


def data_job(run: RunDir) -> str:
    [entry] = events(run, "queued")[-1]["data"]
    return str(entry.partition("/")[2])


def test_data_are_prepared_first_without_gpus_and_once(fresh: Login, tmp_path: Path) -> None:
    words = ("-m", "name=ahead", "optim.lr=1e-4,2e-4", ALWAYS)
    done = fresh.train("launcher=slurm", *words)
    assert done.returncode == 0, done.stderr
    runs = [RunDir(Path(line)) for line in done.stdout.splitlines()]
    [prepares] = {data_job(run) for run in runs}
    assert f"Submitted Slurm job {prepares}, which prepares the data first." in done.stderr
    about = fresh.cluster.says("scontrol", "show", "job", prepares)
    assert "JobName=ahead-data" in about and "gres/gpu" not in about
    for run in runs:
        assert wait_for(run)["cause"] == "completed"
        assert "Preparing" not in run.latest_log.read_text()
    [waited] = fresh.jobs("ahead")
    assert fresh.jobs("ahead-data") == [prepares]
    order = "sacct", "--allocations", "--noheader", "--parsable2", "--format=Start,End", "--jobs"
    assert max(line.split("|")[1] for line in fresh.cluster.says(*order, prepares).splitlines()) <= min(
        line.split("|")[0] for line in fresh.cluster.says(*order, waited).splitlines()
    )
    third = fresh.train("launcher=slurm", "name=third", ALWAYS, "optim.lr=3e-4")
    assert "prepares the data" not in third.stderr  # they are there


def test_a_run_whose_data_cannot_be_prepared_says_why_and_is_submitted_again(fresh: Login, tmp_path: Path) -> None:
    data = tmp_path / "small.csv"
    good = data.read_text()
    words = ("name=bad", ALWAYS, "data.test_fraction=0", "trainer.steps=1000")
    # Over 1 MiB: what smaller files lack is said when the run is submitted.
    data.write_text("text,label\n" + "".join(f"{'text ' * 6000}{i},one and the same\n" for i in range(40)))
    [run] = fresh.submit(*words)
    job = events(run, "queued")[0]["job_id"]
    until(lambda: state_of(fresh, "bad")["state"] == "failed")
    message = "preparing the data failed: The training data have a single class, 'one and the same'."
    assert state_of(fresh, "bad")["message"].startswith(message)
    assert message in fresh.verb("status", "bad").stdout
    until(lambda: fresh.cluster.state(job) == "CANCELLED")  # by Slurm
    assert state_of(fresh, "bad")["message"].startswith(message)
    assert "error: The training data have a single class" in fresh.verb("logs", "bad").stdout
    data.write_text(good)
    again = fresh.verb("rerun", "bad")
    assert again.stdout == f"{run.path}\n", again.stderr
    until(lambda: len(events(run, "start")) == 1)
    fresh.cluster.says("scontrol", "requeue", events(run, "queued")[-1]["job_id"])
    until(lambda: len(events(run, "start")) == 2)  # it does not wait for its data once more


def test_a_run_that_waits_for_its_data_says_so_and_both_are_cancelled(fresh: Login) -> None:
    fresh.cluster.says("scontrol", "update", "PartitionName=main", "State=DOWN")
    try:
        done = fresh.train("launcher=slurm", "-m", "name=waits", "optim.lr=1e-4,2e-4", ALWAYS)
        first, _ = (RunDir(Path(line)) for line in done.stdout.splitlines())
        prepares = data_job(first)
        rows = json.loads(fresh.verb("status", "waits", "--json").stdout)
        for row in rows:
            assert row["state"] == "pending"
            assert row["message"].startswith(
                f"it waits for its data to be prepared (job {prepares}, which waits itself"
            )
        assert fresh.verb("cancel", str(first.path)).returncode == 0
        assert fresh.cluster.state(prepares) == "PENDING"  # the other waits for it
        assert fresh.verb("cancel", "waits").returncode == 0
        until(lambda: fresh.cluster.state(prepares) == "CANCELLED")
        rows = json.loads(fresh.verb("status", "waits", "--json").stdout)
        assert [row["state"] for row in rows] == ["cancelled", "cancelled"]
    finally:
        fresh.cluster.says("scontrol", "update", "PartitionName=main", "State=UP")


def test_a_dry_run_shows_both_jobs(fresh: Login) -> None:
    done = fresh.train("launcher=slurm", "name=dry", ALWAYS, "dry_run=true", "resources.gpus=2", "resources.mem=12G")
    assert done.returncode == 0, done.stderr
    data, own = done.stdout.split("#!/bin/bash")[1:]
    assert "--gpus-per-node" not in data and "#SBATCH --mem=8G" in data
    assert "#SBATCH --dependency=afterok:ID-OF-dry-data" in own and "#SBATCH --kill-on-invalid-dep=yes" in own
