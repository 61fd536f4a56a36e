"""``passingloop report`` on a real queue: a run that was preempted and requeued, beside a job that is none."""

from __future__ import annotations

import json

import pytest

from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.cluster.test_causes import preempt


def test_a_job_that_was_preempted(login: Login) -> None:
    """Two periods of one job; the second still runs. Its name has everything over which a table would stumble."""
    begun = login.cluster.says("date", "+%Y-%m-%dT%H:%M:%S")
    where = ("--gpus-per-node=2", "--nodelist=n1", "--time=2")
    job = login.cluster.submit("exec sleep 300", "--qos=scavenger", "--job-name=a|b ü\nline", *where)
    until(lambda: login.cluster.state(job) == "RUNNING")
    login.cluster.submit("sleep 1", "--qos=production", *where)
    until(lambda: periods(login, job) == ["PREEMPTED", "RUNNING"])
    done = login.verb("report", "--json", "--since", begun)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["cluster"], report["totals"]["jobs"]) == ("dev", 2)
    qos = {group["name"]: group for group in report["groups"]["qos"]}
    scavenger = qos["scavenger"]
    assert (scavenger["allocations"], scavenger["jobs"], scavenger["requeues"]) == (2, 1, {"preempted": 1})
    assert (qos["production"]["allocations"], qos["production"]["requeues"]) == (1, {})
    assert scavenger["gpu_hours"]["allocated"] > 0
    assert scavenger["wait_p95"] >= 1  # it waited for the other one, and for Slurm to let it begin again
    assert [group["name"] for group in report["groups"]["node"]] == ["n1"]


def periods(login: Login, job: str) -> list[str]:
    """The states of the job in each time that it ran."""
    said = login.cluster.says("sacct", "--duplicates", "-nXo", "State,Start", f"-j{job}")
    return [line.split()[0] for line in said.splitlines() if "Unknown" not in line]


@pytest.mark.slow
def test_a_run_that_was_preempted(login: Login) -> None:
    kept = tuple(word for word in login.small if not word.startswith("trainer.steps"))
    begun = login.cluster.says("date", "+%Y-%m-%dT%H:%M:%S")
    words = ("launcher=slurm", "name=report", "trainer.steps=400", "cluster.qos=scavenger", *kept)
    [run] = login.submit(*words)
    wait_for_step(run, 30)
    preempt(login, run)
    wait_for(run, 2)
    until(run.result.exists)
    job = events(run, "start")[0]["job_id"]
    # Slurm 24.11 calls any end of a job PREEMPTED that was preempted before.
    until(lambda: login.cluster.says("sacct", "-nX", "-oState", f"-j{job}") in ("COMPLETED", "PREEMPTED"))
    done = login.verb("report", "--json", "--since", begun)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    name = f"report/{run.path.name}"
    [group] = [group for group in report["groups"]["run"] if group["name"] == name]
    assert group["requeues"] == {"preempted": 1}
    assert (group["allocations"], group["jobs"]) == (2, 1)
    hours = group["gpu_hours"]
    assert hours["unexplained"] == 0
    assert hours["training"] > 0 < hours["starting"]
    parts = sum(
        hours[use] for use in ("training", "starting", "saving", "lost_to_preemption", "lost_to_failure", "holding")
    )
    assert parts == pytest.approx(hours["allocated"], rel=1e-3)
    assert 0 < group["ettr"]["value"] <= group["goodput"] < 1
    [page] = [page for page in report["runs"] if page["name"] == name]
    assert [attempt["cause"] for attempt in page["attempts"]] == ["preempted", "completed"]
    qos = {group["name"]: group for group in report["groups"]["qos"]}
    assert qos["production"]["explained_share"] == 0  # the job that preempted it
    # The same from its directory alone.
    alone = json.loads(login.verb("report", "--json", "--no-accounting", "--since", begun).stdout)
    [own] = alone["groups"]["run"]
    assert own["gpu_hours"]["training"] == pytest.approx(hours["training"], rel=0.05)
    assert (own["requeues"], alone["totals"]["jobs"]) == ({"preempted": 1}, 1)
