"""Preemption: each check with evidence by which it says something is wrong, and with evidence by which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.doctor.preemption_checks import (
    PreemptionEvidence,
    SaveMeasure,
    credentials,
    preemption,
    preemption_findings,
    requeueing,
)
from passingloop.slurm.rules.cluster_rules import ClusterRules
from passingloop.slurm.rules.preemption_rules import Preemptable
from tests.doctor.said import levels

QOS = ClusterRules(preempt_type="preempt/qos", preempt_mode=("REQUEUE",))


def spare(mode: str = "REQUEUE", grace: float = 60.0) -> dict[str, Preemptable]:
    return {"spare": Preemptable(name="spare", mode=mode, grace=grace, by=("urgent",))}


def save(at_least: float, at_most: float) -> SaveMeasure:
    return SaveMeasure(run="runs/a/1", at_most=at_most, at_least=at_least, bytes=1)


def evidence(**changes: Any) -> PreemptionEvidence:
    usual: dict[str, Any] = {"rules": QOS, "places": spare(), "used": ["spare"], "save": save(1, 2)}
    return PreemptionEvidence(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rules": ClusterRules(preempt_type="preempt/none")}, ["ok"]),
        ({"rules": ClusterRules()}, ["ok"]),
        ({"places": None}, ["unknown"]),
        ({"used": ["urgent"]}, ["ok"]),
        ({"places": {}, "used": []}, ["ok"]),
    ],
)
def test_where_nothing_is_preempted(changes: dict[str, Any], said: list[str]) -> None:
    assert levels(preemption(evidence(**changes))) == said


@pytest.mark.parametrize(
    ("mode", "used", "others"),
    [("REQUEUE", "ok", "ok"), ("CANCEL", "warning", "warning"), ("SUSPEND", "problem", "warning")],
)
def test_how_jobs_are_preempted(mode: str, used: str, others: str) -> None:
    assert levels(preemption(evidence(places=spare(mode))), "preempt mode") == [used]
    assert levels(preemption(evidence(places=spare(mode), used=[], allowed=["spare"])), "preempt mode") == [others]


@pytest.mark.parametrize(
    ("grace", "kill_wait", "measured", "said"),
    [
        (60, 30, save(1, 2), "ok"),
        (60, 30, save(1, 29), "ok"),
        (60, 30, save(1, 31), "warning"),  # perhaps more than half of it
        (60, 30, save(61, 61), "problem"),
        (0, 30, save(20, 20), "warning"),  # without a grace time there is KillWait
        (0, 30, save(31, 40), "problem"),
        (0, 120, save(31, 40), "ok"),
        (60, 30, None, "unknown"),
        (0, 30, None, "warning"),
    ],
)
def test_a_save_against_the_grace_time(grace: float, kill_wait: float, measured: SaveMeasure | None, said: str) -> None:
    rules = ClusterRules(preempt_type="preempt/qos", preempt_mode=("REQUEUE",), kill_wait=kill_wait)
    seen = evidence(rules=rules, places=spare(grace=grace), save=measured)
    assert levels(preemption(seen), "grace") == [said]


def test_what_a_qos_that_is_not_used_would_lose_is_a_warning() -> None:
    assert levels(preemption(evidence(used=["urgent"], allowed=["spare"], save=save(90, 90))), "grace") == ["warning"]


def test_partitions_are_named_as_such() -> None:
    rules = ClusterRules(preempt_type="preempt/partition_prio", preempt_mode=("REQUEUE",))
    assert all("partition spare" in finding.evidence for finding in preemption(evidence(rules=rules)))


@pytest.mark.parametrize(
    ("requeue", "jobs", "said"),
    [(True, (), ["ok"]), (False, (), ["warning"]), (True, ("12", "13_4"), ["problem", "ok"])],
)
def test_whether_jobs_are_requeued(requeue: bool, jobs: tuple[str, ...], said: list[str]) -> None:
    rules = ClusterRules(preempt_type="preempt/qos", job_requeue=requeue)
    found = list(requeueing(evidence(rules=rules, not_requeued=jobs)))
    assert levels(found) == said
    assert all(job in found[0].what for job in jobs)


def test_a_job_that_nobody_preempts_need_not_be_requeued() -> None:
    assert levels(requeueing(evidence(rules=ClusterRules(), not_requeued=("12",)))) == ["ok"]


@pytest.mark.parametrize(("seconds", "said"), [(1, "warning"), (10, "ok"), (120, "ok"), (600, "warning")])
def test_how_long_credentials_are_valid(seconds: float, said: str) -> None:
    assert levels(credentials(ClusterRules(cred_expire=seconds))) == [said]


def test_all_of_them_together() -> None:
    checks = [finding.check for finding in preemption_findings(evidence())]
    assert checks == ["preempt mode", "grace", "requeue", "cred_expire"]
