"""When budgets are given anew, and the licences that a job asks for."""

from __future__ import annotations

from datetime import datetime

import pytest

from passingloop.pending.blocking import license_counts, next_reset


@pytest.mark.parametrize(
    ("period", "now", "then"),
    [
        ("DAILY", "2026-11-29 08:00", "2026-11-30"),
        ("WEEKLY", "2026-11-28 08:00", "2026-11-29"),  # a Saturday
        ("WEEKLY", "2026-11-29 08:00", "2026-12-06"),  # a Sunday
        ("WEEKLY", "2026-11-30 08:00", "2026-12-06"),
        ("MONTHLY", "2026-12-31 08:00", "2027-01-01"),
        ("MONTHLY", "2027-02-01 00:00", "2027-03-01"),
        ("QUARTERLY", "2026-11-29 08:00", "2027-01-01"),
        ("QUARTERLY", "2026-01-01 08:00", "2026-04-01"),
        ("YEARLY", "2028-02-29 08:00", "2029-01-01"),
    ],
)
def test_when_use_is_cleared(period: str, now: str, then: str) -> None:
    assert next_reset(period, datetime.fromisoformat(now).timestamp()) == datetime.fromisoformat(then).timestamp()


def test_a_period_of_another_name_is_not_known() -> None:
    assert next_reset("BIENNIALLY", 0.0) is None


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("matlab", {"matlab": 1}),
        ("matlab:2,comsol@server:3", {"matlab": 2, "comsol@server": 3}),
        ("a=2|b", {"a": 2, "b": 1}),
    ],
)
def test_licences(text: str, counts: dict[str, int]) -> None:
    assert license_counts(text) == counts
