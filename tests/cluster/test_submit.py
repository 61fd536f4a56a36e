"""``launcher=slurm`` on a real cluster: submitted, frozen, checked, continued; nothing lost and nothing twice."""

from __future__ import annotations

import shutil
import signal
import stat
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import read_samples
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, first_run, wait_for, wait_for_step
from tests.conftest import ROOT

LONG = ("trainer.steps=4000", "trainer.log_every=1")
"""Trains until it is stopped."""


def test_a_run_is_submitted_and_trained(login: Login) -> None:
    done = login.train("launcher=slurm", "name=one", "resources=gpu1")
    assert done.returncode == 0, done.stderr
    [path] = done.stdout.splitlines()
    run = RunDir(Path(path))
    assert run.path.parent == login.folder / "runs" / "one"
    assert not run.result.exists()  # it has returned at once
    assert "Submitted 1 run as Slurm job" in done.stderr
    end = wait_for(run)
    assert (end["cause"], end["end_step"]) == ("completed", 12)
    assert end["seconds"]["queued"] > 0
    [queued], [start] = events(run, "queued"), events(run, "start")
    job = queued["job_id"]
    assert (start["job_id"], start["launcher"], start["processes"]) == (job, "slurm", 1)
    assert start["nodes"][0] in ("n1", "n2")
    assert f"Slurm job {job}, on {start['nodes'][0]}" in run.latest_log.read_text()
    until(lambda: login.cluster.state(job) == "COMPLETED")
    assert login.train("launcher=slurm", "name=one", "resources=gpu1").stdout == done.stdout
    assert login.jobs("one") == [job]


def test_a_sweep_is_one_array_and_a_further_value_one_more_job(login: Login) -> None:
    first = login.submit("-m", "name=sweep", "optim.lr=1e-4,2e-4", "sweep.parallel=1")
    assert len({run.path for run in first}) == 2
    [array] = login.jobs("sweep")
    assert [events(run, "queued")[0]["job_id"] for run in first] == [f"{array}_0", f"{array}_1"]
    assert "ArrayTaskThrottle=1" in login.cluster.says("scontrol", "show", "job", f"{array}_1")
    again = login.train("launcher=slurm", "-m", "name=sweep", "optim.lr=1e-4,2e-4,3e-4")
    assert again.returncode == 0, again.stderr
    assert "the other one is submitted" in again.stderr
    runs = [RunDir(Path(line)) for line in again.stdout.splitlines()]
    assert runs[:2] == first
    assert len(login.jobs("sweep")) == 2
    for run in runs:
        assert wait_for(run)["cause"] == "completed"
    assert "there is nothing to submit" in login.train(
        "launcher=slurm", "-m", "name=sweep", "optim.lr=1e-4,2e-4,3e-4"
    ).stderr  # fmt: skip


def test_two_nodes_with_two_processes_each_train_one_run(login: Login) -> None:
    [run] = login.submit("name=multi", "resources.nodes=2", "resources.gpus=2", "tracking.sample_seconds=0.5")
    assert wait_for(run)["cause"] == "completed"
    [start] = events(run, "start")
    assert (start["nodes"], start["processes"]) == (["n1", "n2"], 4)
    assert len(list(run.logs.glob("attempt-0001-rank-*.txt"))) == 4
    sampled = read_samples(run, 1)
    assert [(node.node, node.devices) for node in sampled] == [("n1", ()), ("n2", ())], "these GPUs have no driver"
    assert all(max(sample.memory or 0 for sample in node.samples) > 50e6 for node in sampled)


def test_what_is_edited_after_submitting_does_not_reach_the_job(login: Login) -> None:
    copy = login.folder / "source"
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "config", login.folder / "config")
    mine = login.but(PYTHONPATH=str(copy))
    [run] = mine.submit("name=frozen", "+cluster.extra.hold=true")
    for path in (copy / "passingloop").rglob("*.py"):
        path.write_text("raise SystemExit('edited after it was submitted')\n")
    login.cluster.says("scontrol", "release", events(run, "queued")[0]["job_id"])
    assert wait_for(run)["cause"] == "completed"


@pytest.mark.parametrize("kind", ["submissions", "code"])
def test_nothing_is_run_that_another_user_could_have_written(login: Login, kind: str) -> None:
    [run] = login.submit(f"name=open-{kind}", "+cluster.extra.hold=true")
    [folder] = (login.home / kind).iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    job = events(run, "queued")[0]["job_id"]
    login.cluster.says("scontrol", "release", job)
    until(lambda: login.cluster.state(job) == "FAILED")
    assert events(run, "start") == []
    [submission] = (login.home / "submissions").iterdir()
    assert "may be written by others, so nothing in it is run" in (submission / f"{job}.txt").read_text()
    assert not list(login.home.rglob("*.pkl"))


def test_a_dry_run_shows_the_script_and_leaves_nothing(login: Login) -> None:
    done = login.train("launcher=slurm", "name=dry", "resources.time=1:30:00", "dry_run=true", "resources.gpus=2")
    assert done.returncode == 0, done.stderr
    for line in ("#SBATCH --time=1:30:00", "#SBATCH --gpus-per-node=2", "#SBATCH --ntasks-per-node=2"):
        assert line in done.stdout.splitlines()
    assert not (login.folder / "runs").exists()
    assert login.jobs("dry") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cluster.partition=mian",), "You set cluster.partition=mian"),
        (("cluster.qos=prod",), "You set cluster.qos=prod"),
        (("cluster.account=team-x",), "You set cluster.account=team-x"),
        (("resources.gpus=3",), "You set resources.gpus=3"),
        (("cluster.partition=short", "resources.time=2:00:00"), "You set resources.time=2:00:00"),
        (("cluster.qos=interactive", "resources.time=5:00:00"), "You set resources.time=5:00:00"),
        (("resources.mem=900G",), "You set resources.mem=900G"),
        (("resources.cpus=64",), "You set resources.cpus=64"),
        (("+cluster.extra.constraint=a100",), "cluster.extra.constraint names a feature that no node has"),
        (("+cluster.extra.partition=short",), "Set cluster.partition."),
        (("+cluster.extra.output=x",), "Leave it out."),
        (("+cluster.extra.no-such-option=1",), "no-such-option"),
    ],
)
def test_what_the_cluster_would_not_run_is_refused_before_anything_is_written(
    login: Login, words: tuple[str, ...], message: str
) -> None:
    done = login.train("launcher=slurm", "name=refused", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert not list((login.folder / "runs").glob("refused/*/run.json"))
    assert login.jobs("refused") == []


def test_submitting_from_inside_an_allocation_leaves_its_variables_behind(login: Login) -> None:
    inherited = {
        "SLURM_JOB_ID": "1",
        "SLURM_CPU_BIND": "map_cpu:63",
        "SLURM_NNODES": "7",
        "SLURM_NTASKS": "9",
        "SLURM_ARRAY_TASK_ID": "5",
        "SBATCH_PARTITION": "nowhere",
        "SRUN_CPUS_PER_TASK": "99",
    }
    [run] = login.but(**inherited).submit("name=inside")
    assert wait_for(run)["cause"] == "completed"
    assert events(run, "start")[0]["processes"] == 1


@pytest.mark.slow
def test_a_run_that_fails_is_a_job_that_fails(login: Login) -> None:
    [run] = login.submit("name=fails", "optim.lr=1e30", "optim.grad_clip=null", "trainer.epochs=null")
    job = events(run, "queued")[0]["job_id"]
    after = login.cluster.submit("true", f"--dependency=afterok:{job}", "--kill-on-invalid-dep=yes")
    assert wait_for(run)["cause"] == "crash"
    until(lambda: login.cluster.state(job) == "FAILED")
    until(lambda: login.cluster.state(after) == "CANCELLED")


def test_a_run_moves_from_the_shell_to_the_queue_and_back(login: Login) -> None:
    words = ("name=moves", *LONG)
    here = login.begin(*words)
    run = first_run(login, "moves")
    wait_for_step(run, 3)
    here.send_signal(signal.SIGINT)
    assert here.wait(60) == 130
    stopped = events(run, "end")[0]
    assert (stopped["cause"], stopped["end_step"]) == ("interrupted", run.saved_step)
    assert login.submit(*words) == [run]
    wait_for_step(run, stopped["end_step"] + 2, attempt=2)
    assert login.verb("cancel", "moves").returncode == 0
    assert wait_for(run, 2)["cause"] == "cancelled"
    starts = events(run, "start")
    assert [start["launcher"] for start in starts] == ["shell", "slurm"]
    assert starts[1]["start_step"] == stopped["end_step"]
    back = login.begin(*words)
    wait_for_step(run, run.saved_step + 1, attempt=3)
    back.send_signal(signal.SIGINT)
    assert back.wait(60) == 130
    assert events(run, "start")[2]["start_step"] == events(run, "end")[1]["end_step"]


def test_a_run_that_has_to_make_way_saves_and_continues_in_the_same_job(login: Login) -> None:
    [run] = login.submit("name=makes-way", "trainer.steps=1000", "trainer.log_every=1")
    wait_for_step(run, 3)
    login.cluster.says("scontrol", "requeue", events(run, "queued")[0]["job_id"])
    end = wait_for(run)
    assert (end["cause"], end["end_step"]) == ("requeued", run.saved_step)
    until(lambda: len(events(run, "start")) == 2)
    first, second = events(run, "start")
    assert (second["job_id"], second["start_step"]) == (first["job_id"], end["end_step"])
    wait_for_step(run, end["end_step"] + 1, attempt=2)
