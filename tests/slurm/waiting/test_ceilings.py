"""Limits with their use, read from what scontrol prints."""

from __future__ import annotations

from typing import Any

from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL, Ceiling, read_ceilings
from tests.slurm.waiting.shown import POLICY

KNOWN = read_ceilings(POLICY, "ann", 7)


def rows(ceilings: tuple[Ceiling, ...]) -> set[tuple[Any, ...]]:
    return {(cap.name, cap.scope, cap.what, cap.measure, cap.limit, cap.used) for cap in ceilings}


def test_the_limits_of_a_qos() -> None:
    assert rows(KNOWN.qos["production"]) == {
        ("production", "all", WALL, "minutes", 5000, 100.14),
        ("production", "all", "gres/gpu", "amount", 12, 0),
        ("production", "all", "gres/gpu", "minutes", 5000, 200),
        ("production", "job", WALL, "amount", 4320, 0),
        ("production", "node", "gres/gpu", "amount", 4, 0),
        ("production", "least", "cpu", "amount", 1, 0),
        ("production/team-a", "account", "gres/gpu", "amount", 16, 4),
        ("production/team-b", "account", RUNNING, "amount", 5, 2),
        ("production", "user", QUEUED, "amount", 9, 6),
        ("production", "user", "cpu", "amount", 40, 0),
        ("production", "user", "mem", "amount", 65536, 0),
    }


def test_a_user_may_be_named_by_name_and_number() -> None:
    assert rows(KNOWN.qos["scavenger"]) == {
        ("scavenger", "user", RUNNING, "amount", 2, 2),
        ("scavenger", "user", "gres/gpu", "running minutes", 600, 30),
    }


def test_the_limits_of_accounts_and_of_the_user_in_them() -> None:
    assert rows(KNOWN.accounts["team-a"]) == {
        ("team-a", "all", RUNNING, "amount", 9, 1),
        ("team-a", "all", QUEUED, "amount", 20, 7),
        ("team-a", "all", WALL, "minutes", 600, 119.65),
        ("team-a", "all", "cpu", "amount", 30, 1),
        ("team-a", "all", "gres/gpu", "amount", 8, 2),
        ("team-a", "all", "gres/gpu", "minutes", 3000, 229),
        ("team-a", "all", "cpu", "running minutes", 600, 9),
    }
    assert KNOWN.accounts["root"] == ()
    assert rows(KNOWN.associations["team-a", ""]) == {
        ("ann in team-a", "user", RUNNING, "amount", 7, 1),
        ("ann in team-a", "job", WALL, "amount", 2880, 0),
        ("ann in team-a", "job", "gres/gpu", "amount", 8, 0),
    }
    assert rows(KNOWN.associations["team-a", "short"]) == {("ann in team-a", "user", QUEUED, "amount", 3, 2)}


def test_who_is_above_whom_and_who_may_be_preempted() -> None:
    assert KNOWN.chain("team-a") == ["team-a", "root"]
    assert KNOWN.chain("nobody") == ["nobody"]
    assert KNOWN.qos_priority == {"production": 50, "scavenger": 0}
    assert KNOWN.preemptable == {"scavenger"}
