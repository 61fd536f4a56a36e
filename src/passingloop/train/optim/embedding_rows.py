"""AdamW of an embedding on a CPU: the arithmetic of a dense update, for the rows that need it.

A step's texts have a small part of the vocabulary, and most tokens never occur. A row without a gradient so far has
zero moments, so all that an update does to it is weight decay, one multiplication. That is deferred until somebody
reads the row, and then done step by step, so every bit is that of the dense update. Only rows that have occurred are
updated in every step, also in steps in which they do not occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 16
"""Numbers that are decayed at once: they stay in the cache of a core while all deferred steps are done."""

MOST_DEFERRED = 512
"""Steps whose weight decay is deferred at most."""

DENSE = 0.5
"""Once this share of the rows has occurred, all are updated."""


class EmbeddingRows:
    """The updates of `weight`, whose gradients are sparse: values of shape (occurring, width) by row.

    Args:
        weight: shape (rows, width).
        state: the optimizer's state of it, dense, as of a checkpoint or blank.
    """

    def __init__(self, weight: Tensor, state: Mapping[str, Tensor]) -> None:
        self._weight, self._state = weight.detach(), state
        has_moved = (state["exp_avg"] != 0).any(1) | (state["exp_avg_sq"] != 0).any(1)
        self._rows = has_moved.nonzero().flatten()
        """Those that have occurred."""
        self._places = torch.full((len(weight),), -1)
        """Of each row in `_rows`; -1: it has not occurred."""
        self._places[self._rows] = torch.arange(len(self._rows))
        self._decays: list[float] = []
        """What the other rows are still to be multiplied by, one factor for each step."""

    @torch.no_grad()
    def touch(self, rows: Tensor) -> None:
        """Bring `rows`, in any shape and with repetitions, up to date, as they are about to be used in training."""
        rows = rows.flatten()
        new = torch.unique(rows[self._places[rows] < 0])
        if len(new):
            if self._decays:
                self._weight[new] = _multiplied(self._weight[new], self._decays)
            self._places[new] = torch.arange(len(self._rows), len(self._rows) + len(new))
            self._rows = torch.cat([self._rows, new])

    def apply_deferred(self) -> None:
        """Bring all rows up to date."""
        if not self._decays:
            return
        others = (self._places < 0).nonzero().flatten()
        for block in torch.split(others, max(1, BLOCK // self._weight.shape[1])):
            self._weight[block] = _multiplied(self._weight[block], self._decays)
        self._decays.clear()

    def step(self, gradient: Tensor, group: Mapping[str, Any], divisor: Tensor | None) -> None:
        """One update.

        Args:
            gradient: sparse and coalesced; its rows have been touched.
            group: the optimizer's settings for the parameter.
            divisor: what the gradient is divided by; None: 1.
        """
        if len(self._rows) > DENSE * len(self._weight):
            self.apply_deferred()
            _update(self._weight, gradient.to_dense(), self._state, group, divisor)
            return
        rows = self._rows
        values = torch.zeros(len(rows), self._weight.shape[1])
        values[self._places[gradient.indices()[0]]] = gradient.values()
        names = ("exp_avg", "exp_avg_sq")
        some = {name: self._state[name][rows] for name in names}
        weight = self._weight[rows]
        _update(weight, values, {**some, "step": self._state["step"]}, group, divisor)
        self._weight[rows] = weight
        for name in names:
            self._state[name][rows] = some[name]
        self._decays.append(float(np.float32(1.0 - group["lr"] * group["weight_decay"])))
        if len(self._decays) == MOST_DEFERRED:
            self.apply_deferred()


def _update(
    weight: Tensor, gradient: Tensor, state: Mapping[str, Tensor], group: Mapping[str, Any], divisor: Tensor | None
) -> None:
    """torch's fused AdamW, of all of `weight`."""
    first, second = group["betas"]
    state["step"].add_(1)
    torch._fused_adamw_(
        [weight],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        lr=group["lr"],
        beta1=first,
        beta2=second,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
        grad_scale=divisor,
        found_inf=None,
    )


def _multiplied(rows: Tensor, factors: list[float]) -> Tensor:
    """`rows` times each of `factors`, one after another, rounded after each as step by step."""
    for factor in factors:
        rows.mul_(factor)
    return rows
