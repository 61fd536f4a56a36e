"""Dropout on a CPU from few random bits.

torch draws at least 32 bits for each element of a mask, one element after another. Here a draw of 64 bits holds four
thresholds of 16 bits, so a probability is rounded to a multiple of 1/65,536, and kept elements are scaled by what was
rounded to. Which bits are drawn follows from torch's random state, from which each draw takes its seed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 1 << 16
"""Values of a threshold."""


class Masks:
    """The masks of several dropouts of one forward pass, drawn together.

    Args:
        counts: the number of elements of all masks with a probability of being dropped.
    """

    def __init__(self, counts: dict[float, int]) -> None:
        self._factors = {p: dropout_factors(p, count) for p, count in counts.items() if drop_levels(p)}
        self._taken = dict.fromkeys(counts, 0)

    def take(self, probability: float, *shape: int) -> Tensor | None:
        """The next factors, as `dropout_factors` gives them, in this shape. None: nothing is dropped."""
        if not drop_levels(probability):
            return None
        first = self._taken[probability]
        self._taken[probability] = last = first + math.prod(shape)
        return self._factors[probability][first:last].view(shape)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with the masks of this module."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not drop_levels(self.p):
            return input
        return (input * dropout_factors(self.p, input.numel()).view(input.shape)).to(input.dtype)


def replace_dropout(model: nn.Module) -> None:
    """Make every plain `torch.nn.Dropout` of `model` a `Dropout`."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))


def dropout_factors(probability: float, count: int) -> Tensor:
    """What `count` elements are multiplied by, fp32: 0 with this probability, otherwise what keeps their mean."""
    levels = drop_levels(probability)
    if levels == LEVELS:
        return torch.zeros(count)
    seed = int(torch.randint(2**63 - 1, ()))
    thresholds = np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]
    return torch.from_numpy((thresholds >= levels).view(np.uint8)).float().mul_(LEVELS / (LEVELS - levels))


def drop_levels(probability: float) -> int:
    """The probability in multiples of 1/65,536."""
    return round(probability * LEVELS)
