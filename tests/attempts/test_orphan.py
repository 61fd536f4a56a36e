"""What a batch job finds that Slurm has started again: why the attempt before was lost; and how long a grace is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from passingloop.attempts.followup import memory
from passingloop.attempts.orphan import close_left_open
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.slurm import accounting, control
from passingloop.slurm.accounting import Stay, read_stays
from passingloop.slurm.grace import of_partition, of_qos
from passingloop.slurm.notation import moment, warning
from passingloop.submit.resubmission import changed
from tests.conftest import Compose

BEGUN = 1_760_000_000.0
"""Of the attempt, in seconds since the epoch."""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.logs.mkdir()
    time = "2025-10-09T08:53:20+00:00"
    plain: dict[str, Any] = {"attempt": 1, "launcher": "slurm", "job_id": "7", "processes": 1, "start_step": 0}
    ledger.append(run, ledger.Start(**plain, nodes=["n1"], code={}, submission="s", time=time))
    return run


def answered(monkeypatch: pytest.MonkeyPatch, stays: Sequence[Stay], failed: list[str] | None) -> None:
    """What Slurm would say: both cannot be had for real where accounting is off, or scontrol missing."""
    monkeypatch.setattr(accounting, "stays", lambda _: stays)
    monkeypatch.setattr(control, "failed_nodes", lambda *_: failed)


def stay(state: str, started: float = BEGUN - 5) -> Stay:
    return Stay(state=state, started=started, ended=None)


@pytest.mark.parametrize(
    ("stays", "failed", "job_id", "cause", "named"),
    [
        ([stay("PREEMPTED")], [], "7", "preempted", []),
        ([stay("REQUEUED")], [], "7", "preempted", []),
        ([stay("NODE_FAIL")], ["n1"], "7", "node_fail", ["n1"]),
        ([stay("NODE_FAIL")], [], "7", "node_fail", ["n1"]),
        ([stay("PREEMPTED", BEGUN - 900), stay("NODE_FAIL")], [], "7", "node_fail", ["n1"]),
        ([stay("NODE_FAIL"), stay("RUNNING", BEGUN + 60)], [], "7", "node_fail", ["n1"]),
        ([stay("OUT_OF_MEMORY")], [], "8", "oom", []),
        ([stay("TIMEOUT")], [], "8", "timeout", []),
        ([stay("CANCELLED")], [], "8", "cancelled", []),
        ([stay("FAILED")], [], "8", "crash", []),
        ([], ["n1"], "7", "node_fail", ["n1"]),
        ([], [], "7", "preempted", []),
        ([], None, "7", "node_fail", ["n1"]),
        ([], None, "8", "crash", []),
    ],
)
def test_why_an_attempt_was_lost(
    run: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    stays: Sequence[Stay],
    failed: list[str] | None,
    job_id: str,
    cause: str,
    named: list[str],
) -> None:
    answered(monkeypatch, stays, failed)
    gone = close_left_open(run, job_id)
    assert gone is not None
    assert (gone.cause, list(gone.failed)) == (cause, named)
    end = ledger.lines(run)[-1]
    assert (end["event"], end["cause"], end["memory"]) == ("end", cause, "host" if cause == "oom" else None)
    assert close_left_open(run, job_id) is None


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
    assert memory({"SLURM_MEM_PER_NODE": "4000"}) == "4000M"
    assert memory({"SLURM_MEM_PER_CPU": "1000", "SLURM_CPUS_ON_NODE": "4"}) == "4000M"
    assert memory({}) is None


def test_what_a_new_job_asks_for_otherwise(compose: Compose) -> None:
    words = ("hold=true", "begin=now+1hour", "mem_per_cpu=2G", "exclude=n9", "constraint=a100")
    config = compose("launcher=slurm", *(f"+cluster.extra.{word}" for word in words))
    plain: dict[str, Any] = {"attempt": 1, "action": "resubmit", "reason": "why"}
    elsewhere = changed(config, ledger.Decision(**plain, exclude=["n[1-2]", "n9"]))
    assert elsewhere.cluster.extra == {"mem_per_cpu": "2G", "exclude": "n9,n[1-2]", "constraint": "a100"}
    larger = changed(config, ledger.Decision(**plain, mem="8G"))
    assert larger.cluster.extra == {"exclude": "n9", "constraint": "a100"}
    assert larger.resources.mem == "8G"
