"""What a job knows of itself and of its nodes, and what the next one asks for."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.attempts.continuation import node_memory
from passingloop.rundir import ledger
from passingloop.slurm import control
from passingloop.slurm.accounting import read_stays
from passingloop.slurm.grace import of_partition, of_qos
from passingloop.slurm.notation import moment, warning
from passingloop.submit.resubmission import changed
from tests.conftest import Compose


def test_the_stays_of_a_job_that_was_requeued() -> None:
    said = "PREEMPTED|2026-11-21T11:51:45|2026-11-21T11:51:50\nCANCELLED by 0|2026-11-21T11:52:10|Unknown\n"
    first, second = read_stays(said + "PENDING|Unknown|Unknown\n")
    assert (first.state, first.ended) == ("PREEMPTED", moment("2026-11-21T11:51:50"))
    assert (second.state, second.ended) == ("CANCELLED", None)


NODE = "NodeName={} Arch=x86_64 State={} ThreadsPerCore=1 SlurmdStartTime={} Reason=x"


def test_which_nodes_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As scontrol words it, of nodes in states that those of one cluster are not in at the same time."""
    since = moment("2026-11-21T11:00:00") or 0.0
    before, after = "2026-11-20T10:00:00", "2026-11-21T11:30:00"
    told = [("n1", "IDLE", before), ("n2", "DOWN*", before), ("n3", "IDLE*", before), ("n4", "ALLOCATED", after)]
    text = "\n".join(NODE.format(*one) for one in [*told, ("n5", "MIXED", before)])
    monkeypatch.setattr(control, "ask", lambda *_, **__: text)
    assert control.failed_nodes(["n1"], since) == ["n2", "n3", "n4"]


QOS = "scavenger|00:02:00|\nproduction|00:00:00|scavenger,spare\nspare|00:00:00|\n"


@pytest.mark.parametrize(("name", "grace"), [("scavenger", 120.0), ("spare", 0.0), ("production", None), ("no", None)])
def test_the_grace_time_of_a_qos_that_others_preempt(name: str, grace: float | None) -> None:
    assert of_qos(name, QOS) == grace


def test_the_grace_time_of_a_partition() -> None:
    assert of_partition("PartitionName=spare GraceTime=60 PreemptMode=REQUEUE") == 60
    assert of_partition("PartitionName=main GraceTime=0 PreemptMode=OFF") is None


@pytest.mark.parametrize(
    ("limit", "early"), [(None, 90), (60.0, 6), (120.0, 12), (600.0, 60), (3600.0, 90), (30.0, 5), (86400.0, 90)]
)
def test_the_warning_of_a_time_limit_leaves_time_to_train(limit: float | None, early: int) -> None:
    assert warning(limit) == early


def test_the_memory_that_a_job_has() -> None:
    assert node_memory({"SLURM_MEM_PER_NODE": "4000"}) == "4000M"
    assert node_memory({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "4"}) == "4000M"
    assert node_memory({}) is None


def test_what_a_new_job_asks_for_otherwise(compose: Compose) -> None:
    words = ("hold=true", "begin=now+1hour", "mem_per_cpu=2G", "exclude=n9", "constraint=a100")
    config = compose("launcher=slurm", *(f"+cluster.extra.{word}" for word in words))
    plain: dict[str, Any] = {"attempt": 1, "action": "resubmit", "reason": "why"}
    elsewhere = changed(config, ledger.Decision(**plain, exclude=["n[1-2]", "n9"]))
    assert elsewhere.cluster.extra == {"mem_per_cpu": "2G", "exclude": "n9,n[1-2]", "constraint": "a100"}
    larger = changed(config, ledger.Decision(**plain, mem="8G"))
    assert larger.cluster.extra == {"exclude": "n9", "constraint": "a100"}
    assert larger.resources.mem == "8G"
