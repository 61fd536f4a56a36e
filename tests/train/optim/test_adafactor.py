"""Adafactor computes what torch's does."""

from __future__ import annotations

import torch

from passingloop.train.optim.optimizer import make_optimizer
from tests.train.optim.steps import parameters, step
from tests.train.tiny import adafactor


def test_it_is_torchs() -> None:
    """To rounding; the smallest value that torch adds is chosen as in the paper."""
    ours, others = parameters(), parameters()
    optimizer = make_optimizer(adafactor(lr=0.01, weight_decay=0.0), ours)
    reference = torch.optim.Adafactor(others[:-1], lr=0.01, weight_decay=0.0, eps=(1e-30, 1e-3))
    for k in range(20):
        step(optimizer, ours, k)
        step(reference, others, k)
    for mine, other in zip(ours, others, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_it_decays_matrices_only() -> None:
    learned = parameters()
    before = [parameter.detach().clone() for parameter in learned]
    optimizer = make_optimizer(adafactor(lr=0.1, weight_decay=0.5), learned)
    step(optimizer, learned, 0, scale=0.0)
    for parameter, then in zip(learned[:-1], before, strict=False):
        torch.testing.assert_close(parameter.detach(), then * (0.95 if parameter.ndim >= 2 else 1.0))
