"""A request held against what a cluster says of itself; no cluster needed. The texts are those of 22.05, cut short."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from passingloop.slurm.batch import Request
from passingloop.slurm.capacity import facts
from passingloop.slurm.capacity.facts import Facts, read_facts
from passingloop.slurm.capacity.limits import (
    cpus_per_task,
    has_gpus,
    needs_database,
    request_problems,
    startable_requests,
)
from passingloop.slurm.capacity.policy import Cap, Qos
from tests.slurm.site import CONFIG, FACTS, INFORMED, LIMITS, NODES, PARTITIONS, QOS_IN_DATABASE

MODEST = Request(
    name="x", nodes=1, gpus=1, tasks=1, cpus=2, mem="16G", time="20", partition=None, account=None, qos=None, extra=()
)


def found(facts: Facts, count: int = 1, **changes: Any) -> list[str]:
    return request_problems(replace(MODEST, **changes), facts, count)


@pytest.mark.parametrize(
    ("changes", "freed", "startable"),
    [
        ({"gpus": 1}, 0, False),  # team-a has its 6 GPUs in use
        ({"gpus": 0}, 0, True),
        ({"gpus": 2}, 2, True),
        ({"gpus": 3}, 2, False),
        ({"gpus": 1, "nodes": 3}, 2, False),
        ({"account": "team-b", "gpus": 8}, 0, True),
        ({"account": "team-b", "qos": "interactive", "gpus": 2}, 0, True),
        ({"account": "team-b", "qos": "interactive", "gpus": 3}, 0, False),  # 2 for a user
        ({"account": "team-b", "qos": "per-account", "gpus": 4}, 0, True),
        ({"account": "team-b", "qos": "per-account", "gpus": 5}, 0, False),  # 4 of 8 are in use
    ],
)
def test_what_limits_on_use_leave_now(changes: dict[str, Any], freed: int, startable: bool) -> None:
    caps = {("account", "gres/gpu"): Cap(8, 4)}
    qos = Qos(
        name="per-account", caps={("account", "gres/gpu"): Cap(8)}, has_user_caps=True, of_accounts={"team-b": caps}
    )
    known = replace(FACTS, qos={**FACTS.qos, "per-account": qos})
    asked = replace(MODEST, **{"qos": "production", **changes})
    assert startable_requests([asked], known, freed) == [asked] * startable


def test_a_modest_request_has_no_problems() -> None:
    assert found(FACTS) == []
    assert not needs_database(MODEST, FACTS, 1)


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [
        (
            {"partition": "mian"},
            1,
            "partition=mian, but this cluster has only main, short, old, maintained. Did you mean main?",
        ),
        ({"partition": "main,shrot"}, 1, "You set cluster.partition=shrot, but this cluster has only"),
        ({"account": "team-c"}, 1, "You set cluster.account=team-c, but this cluster has only team-b, team-a."),
        ({"qos": "interactiv"}, 1, "Did you mean interactive?"),
        ({"partition": "old", "nodes": 2}, 1, "Partition old takes no jobs."),
        ({"partition": "old"}, 1, "You set resources.nodes=1, but partition old is for jobs of 2 or more."),
        ({"partition": "old", "account": "Team-A"}, 1, "You set cluster.account=Team-A, but partition old does not"),
        ({"partition": "old", "qos": "free"}, 1, "You set cluster.qos=free, but partition old does not take it."),
        ({"partition": "short", "qos": "free"}, 1, "but partition short is for production, interactive. Set one of"),
        ({"partition": "short", "nodes": 2}, 1, "You set resources.nodes=2, but partition short has 1."),
        ({"partition": "short", "cpus": 25}, 1, "but no node of partition short gives more than 24."),
        ({"partition": "short", "mem": "120000"}, 1, "but no node of partition short gives more than 100000M."),
        ({"partition": "short", "time": "25"}, 1, "You set resources.time=25, but QOS small gives a job 0:20:00."),
        ({"nodes": 4}, 1, "You set resources.nodes=4, but partition main has 3."),
        ({"gpus": 5}, 1, "You set resources.gpus=5 per node, but no node of partition main gives more than 4."),
        ({"gpus": 0, "shards": 9}, 1, "You set resources.shards=9, but no node of partition main gives more than 8."),
        ({"partition": "short", "gpus": 0, "shards": 1}, 1, "resources.shards=1, but partition short has none."),
        ({"gpu_type": "h100"}, 1, "You set resources.gpu_type=h100, but partition main has a100, t4, v100."),
        ({"partition": "maintained", "gpu_type": "h100"}, 1, "but partition maintained names no types of GPUs."),
        ({"cpus": 63}, 1, "You set resources.cpus=63, but no node of partition main gives more than 62."),
        ({"cpus": 32, "tasks": 2}, 1, "You set resources.cpus=32 for each of 2 processes, but no node"),
        ({"mem": "1T"}, 1, "You set resources.mem=1T, but no node of partition main gives more than 500000M."),
        ({"time": "4-00"}, 1, "You set resources.time=4-00, but partition main allows 3-00:00:00."),
        ({"qos": "interactive", "time": "5:00:00"}, 1, "but QOS interactive gives a job 4:00:00."),
        ({"qos": "interactive", "gpus": 3}, 1, "You set resources.gpus=3, but QOS interactive gives a user 2 GPUs."),
        ({"qos": "interactive", "cpus": 5, "nodes": 2}, 1, "resources.cpus=5 for each of 2 nodes, but QOS interactive"),
        (
            {"qos": "interactive"},
            4,
            "4 jobs are to be submitted, but QOS interactive lets 4 be in the queue, and 1 are",
        ),
        ({"qos": "production"}, 3, "3 jobs are to be submitted, but account team-a lets 5 be in the queue, and 3 are"),
        ({"account": "team-b"}, 21, "21 jobs are to be submitted, but account root lets 50 be in the queue, and 30"),
        (
            {"gpus": 4, "nodes": 2},
            1,
            "resources.gpus=4 for each of 2 nodes, but account team-a gives all jobs together",
        ),
        ({"mem": "201G"}, 1, "You set resources.mem=201G, but account team-a gives a job 200G."),
        ({"qos": "production", "time": "2-12"}, 1, "resources.time=2-12, but account team-a gives a job 2-00:00:00."),
    ],
)
def test_what_cannot_be_is_said_with_what_can(changes: dict[str, Any], count: int, said: str) -> None:
    sentences = found(FACTS, count, **changes)
    assert any(said in sentence for sentence in sentences), sentences


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": "short,main", "time": "2:00:00"},  # main has the time
        {"partition": "cloud", "gpus": 8, "cpus": 99, "nodes": 2, "account": "team-b"},  # most nodes are not seen
        {"partition": "maintained", "gpus": 0},  # takes jobs for later
        {"qos": "PRODUCTION", "account": "TEAM-A"},
        {"time": "2-12", "account": "team-b"},
        {"gpu_type": "v100"},
        {"gpus": 0, "shards": 8},
        {"time": "0"},  # without a limit of its own
    ],
)
def test_what_may_be_is_not_refused(changes: dict[str, Any]) -> None:
    assert found(FACTS, **changes) == []


def test_where_a_site_does_not_show_its_limits_nothing_is_said_of_them() -> None:
    hidden = read_facts(CONFIG, PARTITIONS, NODES, "", "ann")
    assert found(hidden, 100, qos="interactiv", account="nobody", time="2-12") == []


@pytest.mark.parametrize(
    ("enforced", "said"),
    [("none", []), ("associations", ["You set cluster.account=nobody, but this cluster has only team-b, team-a."])],
)
def test_what_a_site_does_not_enforce_is_no_problem(enforced: str, said: list[str]) -> None:
    lax = read_facts(CONFIG.replace("associations,limits,qos", enforced), PARTITIONS, NODES, LIMITS, "ann")
    assert found(lax, 100, qos="interactive", gpus=3, time="2-12", mem="300G") == []
    assert found(lax, account="nobody") == said


def test_without_a_qos_only_the_database_knows_which_limits_hold() -> None:
    four_gpus = replace(MODEST, gpus=4, cpus=2)
    assert request_problems(four_gpus, FACTS, 1) == []  # production would do
    assert needs_database(four_gpus, FACTS, 1)  # and interactive would not
    strict = facts.read_database_facts(FACTS, QOS_IN_DATABASE, "team-a||interactive|interactive\n")
    assert "QOS interactive gives a user 2 GPUs" in request_problems(four_gpus, strict, 1)[0]
    assert request_problems(four_gpus, INFORMED, 1) == []


def test_where_there_is_no_default_any_that_is_allowed_will_do() -> None:
    assert found(INFORMED, account="team-b", gpus=4, time="2-12") == []
    unlucky = facts.read_database_facts(FACTS, QOS_IN_DATABASE, "team-b|||free,interactive\n")
    assert any("GPU" in sentence for sentence in found(unlucky, account="team-b", gpus=4))


def test_flags_of_a_qos_lift_limits() -> None:
    asked = {"partition": "short", "qos": "free", "time": "2:00:00"}
    assert {sentence.partition(", but ")[2][:9] for sentence in found(FACTS, **asked)} == {"partition", "QOS small"}
    assert [sentence for sentence in found(INFORMED, **asked) if "resources.time" in sentence] == [
        "You set resources.time=2:00:00, but QOS small gives a job 0:20:00. Set less, or another cluster.qos."
    ]


def test_limits_per_user_of_a_qos_that_nobody_has_used_are_in_the_database() -> None:
    asked = replace(MODEST, qos="free", gpus=2)
    assert request_problems(asked, FACTS, 1) == []
    assert needs_database(asked, FACTS, 1)
    assert request_problems(asked, INFORMED, 1)[0].startswith(
        "You set resources.gpus=2, but QOS free gives a user 1 GPU."
    )


def test_a_gpu_brings_its_share_of_the_cpus() -> None:
    asked = [(None, 1, 1), (None, 2, 2), (None, 4, 4), (None, 4, 1), (None, 0, 3), ("short", 2, 1), ("none", 1, 1)]
    assert [cpus_per_task(FACTS, *one) for one in asked] == [15, 15, 15, 62, 1, 12, 1]


def test_where_there_are_gpus() -> None:
    assert [has_gpus(FACTS, name) for name in (None, "short", "old", "old,main", "none")] == [
        True, True, False, True, False,
    ]  # fmt: skip
