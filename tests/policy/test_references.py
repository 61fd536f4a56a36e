"""What only the cluster tells about a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.policy.entities import Seat
from passingloop.policy.references import cluster_problems
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


def test_what_the_user_root_has_holds_no_account(tmp_path: Path) -> None:
    there = state(users={"root": {}}, seats={Seat("root", "team-b"): {}})
    assert list(cluster_problems(policy(tmp_path, "accounts:\n  team-a: {}\n"), there)) == []
