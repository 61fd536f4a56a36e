"""Optimizers: what they compute, their state, and skipped updates; the learning rate by examples and by properties."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from passingloop.config.build import to_plain
from passingloop.train.optim.optimizer import learning_rate, make_optimizer, warmup_steps
from passingloop.train.optim.rule import UpdateRule
from tests.train.optim.steps import parameters, same, step, tensors
from tests.train.tiny import adafactor, optim

every_kind = pytest.mark.parametrize("config", [optim(), adafactor()], ids=["adamw", "adafactor"])


@every_kind
def test_the_blank_state_is_the_state_before_the_first_update(config: Any) -> None:
    """Of the same names and shapes as the state after it; an optimizer that begins with it does the same."""
    ours, others = parameters(), parameters()
    optimizer, begun = make_optimizer(config, ours), make_optimizer(config, others)
    for parameter in others[:-1]:
        begun.state[parameter] = config.blank_state(parameter)
    for k in range(3):
        step(optimizer, ours, k)
        step(begun, others, k)
    assert same(tensors(optimizer, ours), tensors(begun, others))
    for parameter in ours[:-1]:
        shapes = {name: tensor.shape for name, tensor in optimizer.state[parameter].items()}
        assert shapes == {name: tensor.shape for name, tensor in config.blank_state(parameter).items()}
    assert ours[-1] not in optimizer.state, "it is frozen"


@every_kind
def test_a_skipped_update_changes_neither_weights_nor_state(config: Any) -> None:
    learned = parameters()
    optimizer = make_optimizer(config, learned)
    skip = torch.zeros(())
    optimizer.skip_updates(skip)
    step(optimizer, learned, 0)
    before = tensors(optimizer, learned)
    skip.fill_(1)
    step(optimizer, learned, 1, scale=float("nan"))
    assert same(tensors(optimizer, learned), before)
    skip.zero_()
    step(optimizer, learned, 1)
    assert not same(tensors(optimizer, learned), before)


@every_kind
def test_without_a_gradient_nothing_is_infinite(config: Any) -> None:
    """Rows of an embedding whose token does not occur, beside others with large gradients; and no gradient at all."""
    learned = parameters()
    optimizer = make_optimizer(config, learned)
    for scale in (0.0, 1e4):
        for parameter in learned[:-1]:
            parameter.grad = scale * torch.ones(parameter.shape)
            if parameter.ndim:
                parameter.grad[0] = 0.0
        optimizer.step()
    assert all(tensor.isfinite().all() for tensor in tensors(optimizer, learned))


def test_a_rule_without_an_update_cannot_be_chosen() -> None:
    class Incomplete(UpdateRule):
        def blank_state(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
            return {}

    with pytest.raises(TypeError, match="abstract method"):
        Incomplete(**to_plain(optim()))


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
