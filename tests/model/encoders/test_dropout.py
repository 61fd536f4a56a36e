"""Dropout from 16-bit thresholds: its distribution, its random state, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch

from passingloop.model.encoders.dropout import (
    LEVELS,
    Dropout,
    Masks,
    drop_levels,
    dropout_factors,
    replace_dropout,
)

COUNT = 1 << 22


@pytest.mark.parametrize("probability", [0.0001, 0.1, 0.15, 0.5, 0.9])
def test_elements_are_dropped_with_the_probability_and_scaled_by_what_it_is(probability: float) -> None:
    torch.manual_seed(0)
    exact = drop_levels(probability) / LEVELS
    factors = dropout_factors(probability, COUNT)
    dropped = int((factors == 0).sum())
    assert abs(exact - probability) <= 0.5 / LEVELS
    assert abs(dropped - exact * COUNT) < 5 * math.sqrt(exact * (1 - exact) * COUNT)
    assert factors[factors != 0].unique().tolist() == pytest.approx([1 / (1 - exact)])


def test_neighbours_are_dropped_independently() -> None:
    """Also those whose thresholds come from one draw of 64 bits, and those of two draws one after another."""
    torch.manual_seed(0)
    dropped = dropout_factors(0.5, COUNT) == 0
    for distance in (1, 2, 3, 4, 5, 64):
        both = int((dropped[:-distance] & dropped[distance:]).sum())
        assert abs(both - 0.25 * (COUNT - distance)) < 5 * math.sqrt(COUNT * 0.25 * 0.75)


def test_nothing_or_everything_is_dropped() -> None:
    assert Masks({0.0: 8}).take(0.0, 8) is None
    assert dropout_factors(1.0, 9).tolist() == [0.0] * 9
    assert drop_levels(1e-6) == 0


def test_masks_follow_from_the_random_state() -> None:
    torch.manual_seed(1)
    first, second = dropout_factors(0.5, 999), dropout_factors(0.5, 999)
    torch.manual_seed(1)
    assert torch.equal(dropout_factors(0.5, 999), first)
    assert not torch.equal(first, second)


def test_masks_of_a_forward_pass_are_parts_of_one_draw() -> None:
    torch.manual_seed(1)
    whole = dropout_factors(0.25, 24)
    torch.manual_seed(1)
    masks = Masks({0.25: 24, 0.0: 5})
    parts = [masks.take(0.25, 2, 3), masks.take(0.25, 18)]
    assert torch.equal(torch.cat([part.flatten() for part in parts if part is not None]), whole)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_gradient_is_dropped_where_the_value_was(kind: torch.dtype) -> None:
    values = torch.ones(64, 8, dtype=kind, requires_grad=True)
    dropout = Dropout(0.5)
    result = dropout(values)
    result.sum().backward()
    assert result.dtype == kind
    assert values.grad is not None
    assert torch.equal(values.grad, result.detach())
    assert set(result.flatten().tolist()) == {0.0, 2.0}
    assert dropout.eval()(values) is values


def test_plain_dropouts_of_a_model_are_replaced_and_no_others() -> None:
    class Special(torch.nn.Dropout):
        pass

    model = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Sequential(Special(0.2), torch.nn.Dropout2d(0.1)))
    model.eval()
    replace_dropout(model)
    inner = model[1]
    assert isinstance(inner, torch.nn.Sequential)
    assert [type(part) for part in (model[0], *inner)] == [Dropout, Special, torch.nn.Dropout2d]
    assert model[0].p == 0.3 and not model[0].training
