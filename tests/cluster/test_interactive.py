"""Plain ``python train.py`` inside an allocation: it uses what the allocation has, and Ctrl-C saves."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.cluster.cluster import finished, until
from tests.cluster.login import Login, events, first_run, wait_for_step

ENDLESS = ("trainer.steps=4000", "trainer.log_every=1")


def allocate(login: Login, *options: str) -> str:
    """An allocation without a shell in it; its id."""
    granted = login.cluster.run("salloc", "--no-shell", *options)
    assert granted.returncode == 0, granted.stderr
    [job] = re.findall(r"Granted job allocation (\d+)", granted.stderr)
    return str(job)


def test_on_the_node_it_uses_the_jobs_gpus_and_cpus(login: Login) -> None:
    options = ["--nodes=1", "--ntasks=1", "--gpus-per-node=2", "--cpus-per-task=2"]
    done = finished(["srun", *options, *login.command("name=node")], login.env, login.folder)
    assert done.returncode == 0, done.stderr
    run = first_run(login, "node")
    [start] = events(run, "start")
    assert (start["launcher"], start["processes"], start["nodes"]) == ("shell", 2, ["n1"])
    assert "CPU, 2 × 1 threads" in done.stderr
    assert re.search(rf"in +Slurm job {start['job_id']}, on n1", done.stderr)
    assert done.stdout.splitlines() == [str(run.path)]


def test_from_the_shell_of_salloc_the_processes_go_to_the_node(login: Login) -> None:
    job = allocate(login, "--nodes=1", "--gpus-per-node=1", "--cpus-per-task=2")
    done = login.but(SLURM_JOB_ID=job).train("name=salloc")
    assert done.returncode == 0, done.stderr
    run = first_run(login, "salloc")
    assert re.search(rf"in +Slurm job {job}, on n1", done.stderr)
    assert login.cluster.says("sacct", "-n", "-P", "-o", "State", "-j", f"{job}.0") == "COMPLETED"
    assert events(run, "start")[0]["job_id"] == job


def test_several_nodes_train_one_run_and_ctrl_c_saves(login: Login) -> None:
    job = allocate(login, "--nodes=2", "--gpus-per-node=1", "--cpus-per-task=2")
    training = login.begin("name=both", *ENDLESS, SLURM_JOB_ID=job)
    run = first_run(login, "both")
    wait_for_step(run, 2)
    os.killpg(training.pid, signal.SIGINT)  # as the terminal sends it
    assert training.wait(60) == 130
    [start], [end] = events(run, "start"), events(run, "end")
    assert (start["nodes"], start["processes"]) == (["n1", "n2"], 2)
    assert (end["cause"], end["end_step"]) == ("interrupted", run.saved_step)
    assert run.saved_step >= 2
    until(lambda: "both" not in login.cluster.says("squeue", "--steps", "--noheader", "--format=%j"))


def test_ctrl_c_while_srun_starts_the_processes_is_not_lost(login: Login) -> None:
    """srun says that it sends it to the step, and no process gets it."""
    job = allocate(login, "--nodes=2", "--gpus-per-node=1", "--cpus-per-task=2")
    training = login.begin("name=early", *ENDLESS, SLURM_JOB_ID=job)
    run = first_run(login, "early")
    until(lambda: run.path.name in login.cluster.says("squeue", "--steps", "--noheader", "--format=%j"), pause=0.0)
    os.killpg(training.pid, signal.SIGINT)
    assert training.wait(60) == 130
    [end] = events(run, "end")
    assert (end["cause"], end["end_step"]) == ("interrupted", 0)


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(login: Login) -> None:
    job = allocate(login, "--nodes=2", "--gpus-per-node=1", "--cpus-per-task=2")
    training = login.begin("name=twice", *ENDLESS, "trainer.eval_every=1", SLURM_JOB_ID=job)
    run = first_run(login, "twice")
    wait_for_step(run, 1)
    os.killpg(training.pid, signal.SIGINT)
    os.killpg(training.pid, signal.SIGINT)
    assert training.wait(60) == 130
    assert events(run, "end")[0]["cause"] == "interrupted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resources.nodes=3",), "You set resources.nodes=3, but Slurm job {job} on n1, n2 has 2."),
        (("resources.gpus=2",), "You set resources.gpus=2, but Slurm job {job} on n1, n2 has 1."),
    ],
)
def test_more_than_the_allocation_has_is_refused(login: Login, words: tuple[str, ...], message: str) -> None:
    job = allocate(login, "--nodes=2", "--gpus-per-node=1")
    done = login.but(SLURM_JOB_ID=job).train("name=more", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert message.format(job=job) in done.stderr


def test_without_an_allocation_several_nodes_are_refused(login: Login) -> None:
    done = login.train("name=more", "resources.nodes=2")
    assert done.returncode == 3
    assert "salloc --nodes=2" in done.stderr
