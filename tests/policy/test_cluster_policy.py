"""Who sees all of slurmdbd, and what was used."""

from __future__ import annotations

import pytest

from passingloop.policy.cluster_policy import is_hidden, read_history
from passingloop.policy.guards import History
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


def test_what_was_used() -> None:
    """The lines of sacct, those of squeue, which end in a bar, and those of sreport, whose first is of the account."""
    jobs = "ada|lab|fast\nada|lab|slow\nbob|other|fast|\n"
    hours = "|lab|120\nada|lab|120\ncai|lab|0\n|old|7\n"
    assert read_history(jobs, hours) == History(
        accounts=frozenset(("lab", "other", "old")),
        seats=frozenset((("ada", "lab"), ("bob", "other"), ("", "lab"), ("", "old"))),
        qos=frozenset(("fast", "slow")),
    )
    assert read_history("", "") == History()
