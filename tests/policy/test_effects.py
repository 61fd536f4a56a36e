"""Policies that the configuration makes vain."""

from __future__ import annotations

import pytest

from passingloop.policy.effects import vain_settings
from passingloop.policy.entities import State
from tests.policy import outputs
from tests.policy.made import state

PLAIN = state()
BUDGET = state(accounts={**PLAIN.accounts, "team-a": {("Parent", ""): "root", ("GrpTRESMins", "gres/gpu"): "60"}})
SHARED = state(accounts={**PLAIN.accounts, "team-a": {("Parent", ""): "root", ("Fairshare", ""): "3"}})
FIRST = state(qos={**PLAIN.qos, "production": {("Priority", ""): "50"}})

VAIN = {
    "limits": (BUDGET, "= associations,limits,qos", "= associations,qos", "Limits are not enforced: Accounting"),
    "QOS": (PLAIN, "= associations,limits,qos", "= associations,limits", "Anybody may use any QOS: Accounting"),
    "preemption": (PLAIN, "= preempt/qos", "= preempt/none", "No QOS preempts another: PreemptType in slurm.conf is"),
    "all priorities": (SHARED, "= priority/multifactor", "= priority/basic", "Shares and priorities count for nothing"),
    "shares": (SHARED, "FairShare = 10000", "FairShare = 0", "Shares count for nothing: PriorityWeightFairshare"),
    "priorities of QOS": (FIRST, "QOS       = 30000", "QOS       = 0", "The priorities of QOS count for nothing"),
    "budgets": (BUDGET, "HalfLife   = 7-00:00:00", "HalfLife   = 00:00:00", "Budgets never renew: slurm.conf has"),
}


@pytest.mark.parametrize("name", VAIN)
def test_what_is_vain_is_said(name: str) -> None:
    wanted, there, instead, sentence = VAIN[name]
    assert vain_settings(wanted, outputs.CONFIG) == []
    assert there in outputs.CONFIG
    [found] = vain_settings(wanted, outputs.CONFIG.replace(there, instead))
    assert found.startswith(sentence)


def test_a_budget_of_a_month_renews() -> None:
    monthly = outputs.CONFIG.replace("HalfLife   = 7-00:00:00", "HalfLife   = 00:00:00")
    monthly = monthly.replace("ResetPeriod = NONE", "ResetPeriod = MONTHLY")
    assert vain_settings(BUDGET, monthly) == []


def test_what_is_not_used_is_not_missed() -> None:
    empty = State(cluster="dev", qos={"normal": {}}, accounts={"root": {}}, users={}, seats={})
    nothing = "AccountingStorageEnforce = none\nPreemptType = preempt/none\nPriorityType = priority/multifactor\n"
    assert vain_settings(empty, nothing) == []
