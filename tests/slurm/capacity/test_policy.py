"""The limits of QOS and accounts, read from what scontrol prints."""

from __future__ import annotations

import os

from passingloop.slurm.capacity.facts import read_facts
from passingloop.slurm.capacity.policy import Cap
from tests.slurm.site import CONFIG, FACTS, LIMITS, NODES, PARTITIONS


def test_what_each_account_uses_of_a_qos() -> None:
    assert FACTS.qos["interactive"].of_accounts == {"team-a": {("account", "cpu"): Cap(9, 0)}}
    assert FACTS.qos["production"].of_accounts == {}


def test_a_users_own_record_counts_and_anothers_has_the_same_limits() -> None:
    interactive = FACTS.qos["interactive"].caps
    assert interactive["user", "jobs"] == Cap(4, 1)
    assert interactive["user", "gres/gpu"] == Cap(2, 0)
    others = (
        read_facts(CONFIG, PARTITIONS, NODES, LIMITS.replace(f"{os.getuid()}={{", "98={"), "ann")
        .qos["interactive"]
        .caps
    )
    assert others["user", "jobs"] == Cap(4, 0)
