"""The learning rate, by examples and by what holds for every setting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.train.optim import learning_rate, warmup_steps
from tests.train.tiny import optim


@pytest.mark.parametrize(
    ("warmup", "total", "steps"),
    [(0, 100, 0), (0.1, 100, 10), (0.06, 10, 1), (0.04, 10, 0), (1, 100, 1), (30, 100, 30), (300, 100, 100)],
)
def test_warmup_is_a_fraction_or_a_number_of_steps(warmup: float, total: int, steps: int) -> None:
    assert warmup_steps(optim(warmup=warmup), total) == steps


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("linear", 0, [1.0, 0.75, 0.5, 0.25]),
        ("linear", 2, [1 / 3, 2 / 3, 1.0, 0.5]),
        ("cosine", 0, [1.0, 0.853553, 0.5, 0.146447]),
        ("constant", 1, [0.5, 1.0, 1.0, 1.0]),
        ("linear", 9, [0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_rates(schedule: str, warmup: float, rates: list[float]) -> None:
    chosen = optim(lr=1.0, schedule=schedule, warmup=warmup)
    assert [learning_rate(chosen, step, 4) for step in range(4)] == pytest.approx(rates, abs=1e-6)


@given(
    schedule=st.sampled_from(["linear", "cosine", "constant"]),
    warmup=st.one_of(st.floats(0, 0.99), st.integers(1, 300)),
    total=st.integers(1, 300),
)
def test_rises_to_one_peak_and_falls_to_zero(schedule: str, warmup: float, total: int) -> None:
    chosen = optim(lr=3e-4, schedule=schedule, warmup=warmup)
    rates = [learning_rate(chosen, step, total) for step in range(total)]
    turn = warmup_steps(chosen, total)
    assert all(0 < rate <= 3e-4 for rate in rates)
    assert rates[:turn] == sorted(set(rates[:turn]))
    assert rates[turn:] == sorted(rates[turn:], reverse=True)
    if turn < total:
        assert rates[turn] == 3e-4
        assert rates.count(3e-4) == (total - turn if schedule == "constant" else 1)
        end = learning_rate(chosen, total, total)
        assert end == pytest.approx(3e-4 if schedule == "constant" else 0)


def test_a_step_does_not_depend_on_those_before() -> None:
    chosen = optim(schedule="cosine")
    forward = [learning_rate(chosen, step, 50) for step in range(50)]
    assert [learning_rate(chosen, step, 50) for step in reversed(range(50))] == forward[::-1]
