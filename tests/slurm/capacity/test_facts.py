"""Which account's limits hold for a request."""

from __future__ import annotations

from passingloop.slurm.capacity.policy import Cap
from tests.slurm.site import FACTS


def test_the_account_is_that_of_the_partition_if_there_is_one() -> None:
    assert [account.name for account in FACTS.accounts] == ["team-b", "team-a", "team-a"]
    short, main = FACTS.account(None, "short"), FACTS.account("Team-A", "main")
    assert short and short.caps["job", "wall"] == Cap(30 * 60)
    assert main and main.caps["job", "mem"] == Cap(204800)
    assert FACTS.account("team-c", "main") is None
