"""AdamW of an embedding on a CPU: the arithmetic of a dense update, for the rows that need it.

A step's texts have a small part of the vocabulary, and most tokens never occur. A row without a gradient so far has
zero moments, so all that an update does to it is weight decay, one multiplication. That is deferred until somebody
reads the row, and then done step by step, so every bit is that of the dense update. Only rows that have occurred are
updated in every step, also in steps in which they do not occur.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 16
"""Numbers that are decayed at once: they stay in the cache of a core while all deferred steps are done."""

MOST_DEFERRED = 512
"""Steps whose weight decay is deferred at most."""

MOMENTS = ("exp_avg", "exp_avg_sq")

DENSE = 0.5
"""Once this share of the rows has occurred, all are updated."""


class EmbeddingRows:
    """The updates of `weight`, whose gradients are sparse: values of shape (occurring, width) by row.

    The rows that have occurred are kept together as well, with their moments. `weight` is always what the forward pass
    needs; the moments in `state` are written when somebody reads them (`apply_deferred`).

    Args:
        weight: shape (rows, width).
        state: the optimizer's state of it, dense, as of a checkpoint or blank.
    """

    def __init__(self, weight: Tensor, state: Mapping[str, Tensor]) -> None:
        self._weight, self._state = weight.detach(), state
        has_moved = (state["exp_avg"] != 0).any(1) | (state["exp_avg_sq"] != 0).any(1)
        self._rows = torch.zeros(0, dtype=torch.int64)
        """Those that have occurred."""
        self._places = torch.full((len(weight),), -1)
        """Of each row in `_rows`; -1: it has not occurred."""
        self._kept: tuple[Tensor, ...] = ()
        """Weight and moments of `_rows`, with room for more rows."""
        self._decays: list[float] = []
        """What the other rows are still to be multiplied by, one factor for each step."""
        self._gather(has_moved.nonzero().flatten())

    @torch.no_grad()
    def touch(self, rows: Tensor) -> None:
        """Bring `rows`, in any shape and with repetitions, up to date, as they are about to be used in training."""
        rows = rows.flatten()
        new = torch.unique(rows[self._places[rows] < 0])
        if len(new):
            if self._decays:
                self._weight[new] = _multiplied(self._weight[new], self._decays)
            self._gather(new)

    def apply_deferred(self) -> None:
        """Bring all rows and their moments up to date."""
        for name, kept in zip(MOMENTS, self._kept[1:], strict=True):
            self._state[name][self._rows] = kept[: len(self._rows)]
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
            _update(
                self._weight, gradient.to_dense(), [self._state[name] for name in MOMENTS], self._state, group, divisor
            )
            self._take(slice(0, len(self._rows)), self._rows)
            return
        weight, *moments = (kept[: len(self._rows)] for kept in self._kept)
        values = torch.zeros_like(weight)
        values[self._places[gradient.indices()[0]]] = gradient.values()
        _update(weight, values, moments, self._state, group, divisor)
        self._weight[self._rows] = weight
        self._decays.append(float(np.float32(1.0 - group["lr"] * group["weight_decay"])))
        if len(self._decays) == MOST_DEFERRED:
            self.apply_deferred()

    def _gather(self, new: Tensor) -> None:
        """Keep the `new` rows with those that have occurred before."""
        first, last = len(self._rows), len(self._rows) + len(new)
        self._places[new] = torch.arange(first, last)
        self._rows = torch.cat([self._rows, new])
        if not self._kept or last > len(self._kept[0]):
            larger = tuple(torch.zeros(2 * last, self._weight.shape[1]) for _ in range(3))
            for kept, room in zip(self._kept, larger, strict=False):
                room[:first] = kept[:first]
            self._kept = larger
        self._take(slice(first, last), new)

    def _take(self, places: slice, rows: Tensor) -> None:
        """Copy weight and moments of `rows` to `places` among those that are kept."""
        for kept, whole in zip(self._kept, (self._weight, *(self._state[name] for name in MOMENTS)), strict=True):
            kept[places] = whole[rows]


def _update(
    weight: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    state: Mapping[str, Tensor],
    group: Mapping[str, Any],
    divisor: Tensor | None,
) -> None:
    """torch's fused AdamW, of all of `weight`."""
    first, second = group["betas"]
    state["step"].add_(1)
    torch._fused_adamw_(
        [weight],
        [gradient],
        [moments[0]],
        [moments[1]],
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
