"""Runs that take the GPUs that are free, on a real cluster: fewer after a preemption, and more again at a requeue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.track.metrics_file import latest_rows, read_metrics
from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.cluster.test_causes import qos

MODEL = """
import os, time
from transformers import BertForSequenceClassification

class Unhurried(BertForSequenceClassification):
    def forward(self, input_ids=None, **inputs):
        if self.training:
            time.sleep(float(os.environ.get("ROW_SECONDS", "0")) * len(input_ids))
        return super().forward(input_ids=input_ids, **inputs)
"""
"""Takes a while for each text, as on a GPU: so two simulated GPUs are twice as fast as one, whatever the CPUs are."""

STEPS = 160


@pytest.fixture
def unhurried(login: Login, tmp_path: Path) -> Login:
    """Trains a model that takes 30 ms for a text."""
    [path] = [word.removeprefix("model.path=") for word in login.small if word.startswith("model.path=")]
    folder = tmp_path / "unhurried"
    folder.mkdir()
    for file in Path(path).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "modeling_unhurried.py").write_text(MODEL)
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoModelForSequenceClassification": "modeling_unhurried.Unhurried"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": names}))
    words = (f"model.path={folder}", "model.trust_remote_code=true", "model.dropout=0")
    small = tuple(word for word in login.small if not word.startswith("model.path="))
    env = login.env | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "ROW_SECONDS": "0.03"}
    length = (f"trainer.steps={STEPS}", "trainer.eval_every=1000", "trainer.precision=fp32")
    return Login(login.cluster, login.folder, env, (*small, *words, *length), login.begun)


def take(login: Login, node: str) -> str:
    """Somebody with a higher QOS takes a node, for long."""
    return login.cluster.submit(
        "sleep 3000", "--qos=production", f"--nodelist={node}", "--gpus-per-node=2", "--time=50"
    )


def gpus(run: RunDir) -> list[int]:
    """How many each attempt has had."""
    return [len(start["nodes"]) * start["gpus"] for start in events(run, "start")]


def attempt_is_at(run: RunDir, attempt: int, further: int) -> int:
    """Wait until `attempt` has done so many steps. Returns where it began."""
    until(lambda: len(events(run, "start")) >= attempt)
    begun = int(events(run, "start")[attempt - 1]["start_step"])
    wait_for_step(run, begun + further, attempt)
    return begun


def job(run: RunDir) -> str:
    return str(events(run, "queued")[-1]["job_id"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_preempted_run_goes_on_with_what_is_free_and_grows_again(unhurried: Login) -> None:
    login, cluster = unhurried, unhurried.cluster
    sized = ("resources.nodes=1-2", "resources.gpus=2", "resources.cpus=1")
    [run] = login.submit("name=sized", *sized, "cluster.qos=scavenger")
    attempt_is_at(run, 1, 8)
    taken = take(login, "n1")
    assert wait_for(run)["cause"] == "preempted"
    attempt_is_at(run, 2, 8)
    assert cluster.state(taken) == "RUNNING"  # it trains while what it had is taken
    [row] = json.loads(login.verb("status", "--json", "sized").stdout)
    assert (row["gpus"], row["nodes"]) == (2, ["n2"])
    cluster.says("scancel", taken)
    until(lambda: cluster.state(taken) == "CANCELLED")
    cluster.says("scontrol", "requeue", job(run))
    attempt_is_at(run, 3, 8)
    taken = take(login, "n2")
    until(lambda: len(events(run, "end")) == 4)
    assert cluster.state(taken) == "RUNNING"  # waiting for 4 GPUs it would not have gone on yet
    assert gpus(run) == [4, 2, 4, 2]
    assert [end["cause"] for end in events(run, "end")] == ["preempted", "requeued", "preempted", "completed"]
    reached = [0, *(end["end_step"] for end in events(run, "end"))]
    assert [start["start_step"] for start in events(run, "start")] == reached[:-1], "nothing was lost"
    assert [(line["action"], line.get("gpus")) for line in events(run, "decision")] == 3 * [
        ("requeue", None),
        ("resubmit", 2),
    ]
    until(lambda: not cluster.says("squeue", "--noheader", "--name=sized"))
    done = login.but(ROW_SECONDS="0").train("name=whole", "resources.gpus=0", "resources.cpus=1")
    assert done.returncode == 0, done.stderr
    whole = RunDir(Path(done.stdout.strip()))
    assert losses(run) == pytest.approx(losses(whole), rel=1e-3)
    results = [one.read_result() or {} for one in (run, whole)]
    assert [(result["samples"], result["tokens"]) for result in results[:1]] == [
        (result["samples"], result["tokens"]) for result in results[1:]
    ]


@pytest.mark.slow
def test_without_a_grace_time_slurm_has_requeued_the_job_before_the_size_is_chosen(unhurried: Login) -> None:
    login = unhurried
    with qos(login.cluster, gracetime="0"):
        [run] = login.submit("name=at-once", "resources.gpus=1-2", "resources.cpus=1", "cluster.qos=scavenger")
        attempt_is_at(run, 1, 8)
        [node] = events(run, "start")[0]["nodes"]
        free = "n2" if node == "n1" else "n1"
        half = ("--qos=production", "--gpus-per-node=1", "--time=50")
        taken = login.cluster.submit("sleep 3000", f"--nodelist={free}", *half)
        until(lambda: login.cluster.state(taken) == "RUNNING")
        take(login, node)
        until(lambda: len(events(run, "start")) == 2)
    first, second = events(run, "queued")
    assert gpus(run) == [2, 1]
    assert events(run, "start")[1]["nodes"] == [free]
    assert [start["job_id"] for start in events(run, "start")] == [first["job_id"], second["job_id"]]
    until(lambda: login.cluster.state(first["job_id"]) == "CANCELLED")


def losses(run: RunDir) -> list[float]:
    """Of each step: they are those of its examples. Every step is there, and once."""
    rows = [row for row in latest_rows(read_metrics(run.metrics)) if row["split"] == "train"]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return [row["loss"] for row in rows]


def test_a_run_that_waits_takes_what_has_become_free_when_its_command_is_given_again(login: Login) -> None:
    """For two GPUs it would wait half an hour. When one is free, that is enough for the ten minutes it may take."""
    cluster = login.cluster
    cluster.submit("sleep 600", "--nodelist=n1", "--gpus-per-node=2", "--time=30")
    taken = [cluster.submit("sleep 600", "--nodelist=n2", "--gpus-per-node=1", "--time=300") for _ in range(2)]
    until(lambda: all(cluster.state(one) == "RUNNING" for one in taken))
    words = ("launcher=slurm", "name=waits", "resources.gpus=1-2", "resources.time=10", "resources.cpus=1")
    first = login.train(*words)
    assert first.returncode == 0, first.stderr
    assert "With 2 GPUs it is expected to finish soonest; its speed is not measured yet." in first.stderr
    run = RunDir(Path(first.stdout.strip()))
    until(lambda: "pending already" in login.train(*words).stderr)
    cluster.says("scancel", taken[0])
    until(lambda: cluster.state(taken[0]) == "CANCELLED")
    again = login.train(*words)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert f"The run waits for 2 GPUs. With 1 GPU it is expected to finish soonest; {UNMEASURED}" in again.stderr
    before, after = events(run, "queued")
    assert [line["request"]["gpus"] for line in (before, after)] == [2, 1]
    assert cluster.state(before["job_id"]) == "CANCELLED"
    until(run.result.exists)
    assert gpus(run) == [1]
    assert after["request"]["cluster"] == "dev"
    estimated = login.train("launcher=slurm", "name=waits", "estimate=true", "rerun=true")
    assert (estimated.returncode, estimated.stdout) == (0, "")
    assert "cluster.qos=interactive" in estimated.stderr
    assert "How far off Slurm's estimates are here is not known yet" in estimated.stderr
    assert len(list(run.path.parent.iterdir())) == 1, "nothing is submitted"


UNMEASURED = "its speed is not measured yet. So its job"
