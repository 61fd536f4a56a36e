"""What a user may do: each check with evidence by which it says something is wrong, and by which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.doctor.entitlement_checks import (
    EntitlementEvidence,
    accounting,
    accounts,
    arrays,
    entitlement_findings,
    limits,
    privacy,
)
from passingloop.slurm.rules.cluster_rules import ClusterRules
from tests.doctor.said import levels

DATABASE = "accounting_storage/slurmdbd"
ENFORCED = ClusterRules(accounting=DATABASE, enforced=frozenset({"associations", "limits"}))


def evidence(**changes: Any) -> EntitlementEvidence:
    usual: dict[str, Any] = {
        "rules": ENFORCED,
        "user": "ann",
        "accounts": ["lab"],
        "refused": [],
        "asked": "1 GPU",
        "database_answers": True,
    }
    return EntitlementEvidence(**usual | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "ok"), ({"accounts": []}, "problem"), ({"accounts": [], "rules": ClusterRules()}, "ok")],
)
def test_an_account_is_needed_where_associations_are_enforced(changes: dict[str, Any], said: str) -> None:
    assert levels(accounts(evidence(**changes))) == [said]


def test_limits_are_told_with_what_to_set() -> None:
    assert levels(limits(evidence())) == ["ok"]
    sentence = "You set resources.gpus=3, but QOS small gives a user 2. Set less, or another cluster.qos."
    [found] = limits(evidence(refused=[sentence]))
    assert (found.level, found.what) == ("problem", "You set resources.gpus=3, but QOS small gives a user 2.")
    assert found.remedy == "Set less, or another cluster.qos."


def test_a_limit_without_advice_has_some_nevertheless() -> None:
    assert levels(limits(evidence(refused=["The queue is full."]))) == ["problem"]


@pytest.mark.parametrize(("size", "said"), [(1001, "ok"), (50, "warning"), (1, "problem"), (0, "problem")])
def test_how_large_an_array_may_be(size: int, said: str) -> None:
    assert levels(arrays(ClusterRules(max_array_size=size))) == [said]


@pytest.mark.parametrize(
    ("kind", "age", "answers", "said"),
    [
        (DATABASE, 300, True, "ok"),
        (DATABASE, 300, False, "warning"),
        ("accounting_storage/none", 300, False, "ok"),
        ("accounting_storage/none", 0, False, "ok"),  # for ever
        ("accounting_storage/none", 5, False, "warning"),
        ("", 5, False, "warning"),
    ],
)
def test_whether_the_ends_of_jobs_are_kept(kind: str, age: float, answers: bool, said: str) -> None:
    rules = ClusterRules(accounting=kind, min_job_age=age)
    assert levels(accounting(evidence(rules=rules, database_answers=answers))) == [said]


@pytest.mark.parametrize(("private", "said"), [((), "ok"), (("usage",), "ok"), (("jobs", "users"), "warning")])
def test_what_is_hidden(private: tuple[str, ...], said: str) -> None:
    assert levels(privacy(ClusterRules(private=private))) == [said]


def test_all_of_them_together() -> None:
    checks = [finding.check for finding in entitlement_findings(evidence())]
    assert checks == ["account", "limits", "arrays", "accounting", "PrivateData"]
