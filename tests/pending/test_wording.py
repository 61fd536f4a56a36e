"""Amounts in words."""

from __future__ import annotations

import pytest

from passingloop.pending.wording import amount_text


@pytest.mark.parametrize(
    ("what", "amount", "measure", "text"),
    [
        ("gres/gpu", 1, "amount", "1 GPU"),
        ("mem", 1536, "amount", "1.5 GB of memory"),
        ("gres/gpu", 60 * 5000, "minutes", "5,000 GPU-hours"),
        ("gres/gpu", 60 * 12.5, "minutes", "12.5 GPU-hours"),
        ("gres/gpu", 1, "minutes", "0.017 GPU-hours"),
        ("gres/gpu", 0, "minutes", "0 GPU-hours"),
    ],
)
def test_amounts(what: str, amount: float, measure: str, text: str) -> None:
    assert amount_text(what, amount, measure) == text
