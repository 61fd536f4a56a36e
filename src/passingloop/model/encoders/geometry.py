"""Where the tokens of a batch stand: padded, one text a row, and flat, one text after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MULTIPLE = 16
"""The flat form is filled up to a multiple of this many tokens. oneDNN compiles a kernel for each new shape of a matrix
product, which takes a millisecond, so there should be few shapes."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The places of b texts of at most w tokens, in the padded form (b · w places) and in the flat one (t places).

    The flat form ends with at least one filling place, whose hidden states have no influence and get no gradient.
    """

    rows: int
    width: int
    padded: Tensor
    """For each flat place the padded one, shape (t,); filling places have 0."""
    flat: Tensor
    """For each padded place the flat one, shape (b · w,); padding has the last one, which is filling."""
    tokens: int
    """Flat places without the filling."""
    bias: Tensor | None
    """What is added to the scores of attention, shape (b, 1, 1, w): -inf for padding. None: there is no padding."""

    @classmethod
    def of(cls, mask: Tensor | None, ids: Tensor) -> Geometry:
        """That of a batch of these ids and this attention mask, (b, w) each; no mask: without padding."""
        (rows, width), device = ids.shape, ids.device
        kept = torch.arange(rows * width, device=device) if mask is None else mask.flatten().nonzero().flatten()
        tokens = len(kept)
        filled = (tokens // MULTIPLE + 1) * MULTIPLE
        flat = torch.full((rows * width,), filled - 1, device=device)
        flat[kept] = torch.arange(tokens, device=device)
        bias = None
        if tokens < rows * width:
            assert mask is not None
            bias = torch.zeros(rows, 1, 1, width, device=device)
            bias.masked_fill_(mask.view(rows, 1, 1, width) == 0, -torch.inf)
        return cls(rows, width, F.pad(kept, (0, filled - tokens)), flat, tokens, bias)

    def to_padded(self, values: Tensor) -> Tensor:
        """Flat `values`, shape (t, …), as (b · w, …); padding has those of the filling."""
        return values.index_select(0, self.flat)

    def to_flat(self, values: Tensor) -> Tensor:
        """Padded `values`, shape (b · w, …), as (t, …); the filling has zeros."""
        taken = values.index_select(0, self.padded)
        taken[self.tokens :] = 0
        return taken


class Padding(torch.autograd.Function):
    """Flat hidden states (t, h) as padded ones (b, w, h); padding has zeros."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, geometry: Geometry) -> Tensor:
        ctx.geometry = geometry
        padded = geometry.to_padded(hidden)
        if geometry.tokens < geometry.rows * geometry.width:
            padded[geometry.flat == len(geometry.padded) - 1] = 0
        return padded.view(geometry.rows, geometry.width, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.geometry.to_flat(gradient.flatten(0, 1)), None
