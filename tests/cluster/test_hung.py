"""A process of a run on two nodes hangs, on a real cluster: the run ends with the weights of one that never did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import until
from tests.cluster.login import Login, events
from tests.cluster.test_causes import job, told
from tests.notify.receiver_programs import hook_server, writing_program
from tests.runs.hanging import Kind, hanging

pytestmark = pytest.mark.slow

TWO_NODES = (
    "trainer.steps=40",
    "trainer.deterministic=true",
    "trainer.log_every=1",
    "checkpoint.every_steps=10",
    "resources.nodes=2",
    "resources.gpus=1",
    "resources.cpus=1",
)


def weights(run: RunDir) -> str:
    return str((run.read_result() or {})["weights_sha256"])


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """What an uninterrupted run's weights are, once one has been trained."""
    return {}


@pytest.mark.parametrize("kind", ["waits", "holds the lock", "is stopped"])
def test_it_is_found_killed_and_goes_on_exactly(login: Login, known: dict[str, str], kind: Kind) -> None:
    if not known:
        [whole] = login.submit("name=whole", *TWO_NODES)
        until(whole.result.exists)
        known["weights"] = weights(whole)
    program = writing_program(login.folder / "tell", login.folder / "told")
    with hook_server([200]) as hook:
        faulty = login.but(**hanging(login.folder, kind, rank=1, step=25), OUR_HOOK=f"{hook.address}/hook-5ee4f1")
        words = (f"notify.command=[{program}]", "notify.webhook_env=OUR_HOOK", "notify.webhook_form=json")
        [run] = faulty.submit("name=hangs", *TWO_NODES, "watch.stuck_minutes=0.1", *words)
        until(run.result.exists)
        until(lambda: len(told(run)) == 2 and len(hook.requests) == 2)
    assert weights(run) == known["weights"]
    assert told(run) == [("hung", ["requeue"]), ("completed", [])]
    end = events(run, "end")[0]
    assert end["rank"] == 1
    assert 20 <= end["end_step"] <= 25
    assert "No progress for " in end["message"]
    assert "rank 1 on n2" in end["message"]
    assert len({start["job_id"] for start in events(run, "start")}) == 1
    logs = [run.log(1, rank).read_text() for rank in (0, 1)]
    assert "most recent call first" in logs[0]
    if kind != "is stopped":
        assert " in enter_or_hang" in logs[1]
    until(lambda: login.cluster.state(job(run)) == "COMPLETED")
    heard = [json.loads(json.loads(line)["stdin"]) for line in (login.folder / "told").read_text().splitlines()]
    assert [notice["occasion"] for notice in heard] == ["stuck", "done"]
    assert heard[0]["rank"] == 1
    assert [request["body"] for request in hook.requests] == heard
    assert not [path for path in login.folder.rglob("*") if has_secret(path)]


def has_secret(path: Path) -> bool:
    """Whether a file has the webhook's address in it."""
    return path.is_file() and b"hook-5ee4f1" in path.read_bytes()


def test_a_budget_of_none_stops_it(login: Login) -> None:
    faulty = login.but(**hanging(login.folder, "waits", rank=0, step=5))
    [run] = faulty.submit("name=stops", *TWO_NODES, "watch.stuck_minutes=0.1", "retry.hung=0")
    until(lambda: len(events(run, "decision")) == 1)
    assert told(run) == [("hung", ["stop"])]
    until(lambda: login.cluster.state(job(run)) == "FAILED")
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    assert (row["state"], row["cause"]) == ("failed", "hung")
    assert "It hung once, and retry.hung=0 (No progress for" in login.verb("status", str(run.path)).stdout
