"""The live view on a real Slurm: what nodes and jobs have, a run that waits, and a slurmctld that goes silent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.cluster import until
from tests.cluster.login import Login
from tests.cluster.test_bad_weather import silent
from tests.live.screen import Screen

GPU = "--gpus-per-node=1"


def shown(login: Login) -> Any:
    done = login.verb("top", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_gpus_and_the_queue_and_a_slurm_that_goes_silent(login: Login) -> None:
    cluster = login.cluster
    jobs = [cluster.submit("sleep 300", "--qos=production", "--gpus-per-node=2", "--time=10") for _ in range(2)]
    until(lambda: all(cluster.state(job) == "RUNNING" for job in jobs))
    ahead = cluster.submit("sleep 1", "--qos=production", GPU, "--time=10")
    [run] = login.submit("name=waits", "resources.gpus=1", "cluster.qos=production", "resources.time=10")

    def waits() -> bool:
        [row] = shown(login)["runs"]
        return row["state"] == "pending" and row["confirmed"] and row["place"] is not None

    until(waits, pause=1.0)
    page = shown(login)
    assert {state: count for state, count in page["cluster"]["by_state"].items() if count} == {"in use": 4}
    [use] = page["cluster"]["by_qos"]
    assert (use["name"], use["held"], use["waiting_jobs"], use["asked"]) == ("production", 4, 2, 2)
    [row] = page["runs"]
    assert row["place"]["of"] == 2

    cluster.says("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    try:
        cluster.says("scancel", jobs[0], ahead)
        until(lambda: shown(login)["cluster"]["by_state"]["drained"] == 2, pause=1.0)
    finally:
        cluster.says("scontrol", "update", "nodename=n1", "state=resume")

    screen = Screen.of(["top"], login.env | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}, login.folder)
    try:
        screen.until(f"waits/{run.path.name[:6]}")
        screen.until("in use")
        with silent(login):
            screen.type("u")
            screen.until("Slurm has not answered since")
            assert "in use" in screen.text, "what is known stays"
        screen.type("u")
        screen.until(lambda text: "Slurm has not answered" not in text)
        screen.type("q")
        assert screen.exit_code() == 0
    finally:
        screen.close()
