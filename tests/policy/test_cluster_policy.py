"""Who sees all of slurmdbd."""

from __future__ import annotations

import pytest

from passingloop.policy.cluster_policy import is_hidden
from tests.policy.made import state

LEVELS = state(users={"ada": {}, "op": {("AdminLevel", ""): "operator"}})


@pytest.mark.parametrize(
    ("private", "user", "hidden"),
    [
        ("none", "ada", False),
        ("jobs,usage", "ada", False),
        ("jobs,users", "ada", True),
        ("accounts", "nobody", True),
        ("accounts,users", "op", False),
        ("accounts,users", "root", False),
        ("accounts,users", "slurm", False),
    ],
)
def test_who_would_take_a_part_for_all(private: str, user: str, hidden: bool) -> None:
    settings = {"PrivateData": private, "SlurmUser": "slurm(64030)"}
    assert is_hidden(settings, LEVELS, user) == hidden
