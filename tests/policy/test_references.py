"""What only the cluster tells about a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.policy.entities import Seat, State
from passingloop.policy.references import cluster_problems, vain_settings
from tests.policy import outputs
from tests.policy.made import policy, state

WRONG = {
    "an account that only the cluster could have": (
        "users:\n  ada: {accounts: [team-a, team-c]}\n",
        2,
        "users.ada.accounts names the account team-c, which does not exist. There are research, root, team-a, team-b.",
    ),
    "a QOS that only the cluster could have": (
        "accounts:\n  root:\n    default_qos: production\n    qos: [production, fast]\n  team-a: {}\n  team-b: {}\n",
        4,
        "accounts.root.qos names the QOS fast, which does not exist.",
    ),
    "a QOS that is the default of what the file leaves alone": (
        "cluster: dev\nqos:\n  scavenger: {}\n  interactive: {}\n",
        2,
        "the QOS production is not in the file, but is the default of the account root. Add it.",
    ),
    "a resource that is not counted": (
        "qos:\n  production: {}\n  interactive: {}\n  scavenger:\n    max_tres: {gres/shard: 4}\n",
        4,
        "qos.scavenger limits gres/shard, which the cluster does not count. Add it to AccountingStorageTRES",
    ),
    "a default that may not be used": (
        "accounts:\n  team-a:\n    qos: [interactive]\n  team-b: {}\n",
        3,
        "accounts.team-a has the default QOS production, but may use only interactive. Change qos or default_qos.",
    ),
    "a default of a user that may not be used": (
        "users:\n  ada:\n    accounts:\n      team-a:\n        qos: [-production]\n      team-b: {}\n",
        5,
        "users.ada.accounts.team-a has the default QOS production, but may use only interactive, scavenger.",
    ),
    "an account that has users, whom the file leaves alone": (
        "accounts:\n  team-a: {}\n",
        1,
        "the account team-b is not in the file, but has users: ada. Add the account, or a section `users`",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_does_not_fit_the_cluster(tmp_path: Path, name: str) -> None:
    text, line, sentence = WRONG[name]
    [(found_line, found)] = cluster_problems(policy(tmp_path, text), state())
    assert found_line == line
    assert found.startswith(sentence)


def test_the_qos_of_a_partition_and_of_a_user_stays(tmp_path: Path) -> None:
    there = replace(
        state(seats={Seat("ada", "team-a"): {("DefaultQOS", ""): "scavenger"}}),
        of_partitions=frozenset(("interactive",)),
    )
    found = [sentence for _, sentence in cluster_problems(policy(tmp_path, "qos:\n  production: {}\n"), there)]
    assert found == [
        "the QOS scavenger is not in the file, but is the default of ada in team-a. Add it.",
        "the QOS interactive is not in the file, but is the QOS of a partition. Add it.",
    ]


def test_what_the_user_root_has_holds_no_account(tmp_path: Path) -> None:
    there = state(users={"root": {}}, seats={Seat("root", "team-b"): {}})
    assert list(cluster_problems(policy(tmp_path, "accounts:\n  team-a: {}\n"), there)) == []


# --- policies that the configuration makes vain ------------------------------------------------------------------

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
