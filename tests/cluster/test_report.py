"""``passingloop report`` on a real queue: a run that was preempted and requeued, beside a job that is none."""

from __future__ import annotations

import json

import pytest

from tests.cluster.cluster import until
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.cluster.test_causes import preempt


def test_jobs_that_were_preempted_and_requeued(login: Login) -> None:
    """Two periods of one job, with a wait each; a name with everything that a table would stumble over."""
    begun = login.cluster.says("date", "+%Y-%m-%dT%H:%M:%S")
    name = "a|b ü\nline"
    job = login.cluster.submit("sleep 1", "--qos=scavenger", "--gpus-per-node=2", "--nodelist=n1", f"--job-name={name}", "--hold")
    other = login.cluster.submit("sleep 1", "--qos=production", "--gpus-per-node=1", "--array=0-1")
    login.cluster.says("scontrol", "release", job)
    until(lambda: login.cluster.says("sacct", "-nXo", "State", f"-j{job},{other}").split() == ["COMPLETED"] * 3)
    login.cluster.says("scontrol", "requeue", job)
    until(lambda: login.cluster.says("sacct", "-DnXo", "State", f"-j{job}").split()[-1:] == ["COMPLETED"] and login.cluster.state(job) == "COMPLETED")
    done = login.verb("report", "--json", "--since", begun)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["cluster"], report["totals"]["jobs"]) == ("dev", 3)
    qos = {group["name"]: group for group in report["groups"]["qos"]}
    assert (qos["scavenger"]["allocations"], qos["scavenger"]["jobs"], qos["production"]["allocations"]) == (2, 1, 2)
    assert sum(qos["scavenger"]["requeues"].values()) == 1
    assert {group["name"] for group in report["groups"]["node"]} >= {"n1"}
    assert report["totals"]["wait_median"] is not None


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
    until(
        lambda: "COMPLETED" in login.cluster.says("sacct", "-nX", "-oState", f"-j{events(run, 'start')[0]['job_id']}")
    )
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
