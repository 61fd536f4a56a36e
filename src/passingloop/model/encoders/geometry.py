"""Where the tokens of a batch stand: padded, one text a row, and flat, one text after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MULTIPLE = 16
"""The flat form is filled up to a multiple of this many tokens. oneDNN compiles a kernel for each new shape of a matrix
product, which takes a millisecond, so there should be few shapes; on a GPU it keeps products on tensor cores."""


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

    @classmethod
    def of(cls, mask: Tensor | None, ids: Tensor) -> Geometry:
        """That of a batch of these ids and this attention mask, (b, w) each; no mask: without padding.

        It reads the mask on the host. On a GPU, which would be waited for, take `flat_places` from the host instead.
        """
        kept = np.ones(ids.shape, bool) if mask is None else mask.cpu().numpy() != 0
        padded, flat = flat_places(kept)
        rows, width = ids.shape
        to_padded, to_flat = (torch.from_numpy(each).to(ids.device) for each in (padded, flat))
        return cls(rows, width, to_padded, to_flat, int(kept.sum()))

    @property
    def first(self) -> Tensor:
        """The flat place of the first token of each row, shape (b,)."""
        return self.flat.view(self.rows, self.width)[:, 0]

    def starts_with_tokens(self) -> bool:
        """Whether no row starts with padding. It reads the places on the host."""
        return bool((self.first < self.tokens).all())

    def bias(self) -> Tensor | None:
        """What is added to the scores of attention, shape (b, 1, 1, w): -inf for padding. None: there is no padding."""
        if self.tokens == self.rows * self.width:
            return None
        bias = torch.zeros(self.rows * self.width, device=self.flat.device)
        return bias.masked_fill_(self._padding(), -torch.inf).view(self.rows, 1, 1, self.width)

    def to_padded(self, values: Tensor) -> Tensor:
        """Flat `values`, shape (t, …), as (b · w, …); padding has those of the filling."""
        return values.index_select(0, self.flat)

    def to_flat(self, values: Tensor) -> Tensor:
        """Padded `values`, shape (b · w, …), as (t, …); the filling has zeros."""
        taken = values.index_select(0, self.padded)
        taken[self.tokens :] = 0
        return taken

    def states(self, hidden: Tensor) -> Tensor:
        """Flat hidden states (t, h) as padded ones (b, w, h), with zeros for padding."""
        padded = self.to_padded(hidden).masked_fill_(self._padding()[:, None], 0)
        return padded.view(self.rows, self.width, -1)

    def _padding(self) -> Tensor:
        return self.flat == len(self.padded) - 1


def flat_places(kept: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`Geometry.padded` and `Geometry.flat` for the tokens that are `kept`, shape (b, w)."""
    places = kept.ravel().nonzero()[0]
    filled = filled_length(len(places))
    flat = np.full(kept.size, filled - 1)
    flat[places] = np.arange(len(places))
    return np.pad(places, (0, filled - len(places))), flat


def filled_length(tokens: int) -> int:
    """Places of the flat form of so many tokens."""
    return (tokens // MULTIPLE + 1) * MULTIPLE


def unpadded_inputs(kept: NDArray[np.bool_]) -> dict[str, Any]:
    """What `UnpaddedForward` needs to know of a batch, made on the host.

    Args:
        kept: the tokens that are no padding, shape (b, w).
    """
    padded, flat = flat_places(kept)
    lengths = kept.sum(1)
    bounds = np.concatenate([[0], np.cumsum(lengths), [len(padded)]]).astype(np.int32)
    return {
        "padded": torch.from_numpy(padded),
        "flat": torch.from_numpy(flat),
        "tokens": int(lengths.sum()),
        "bounds": torch.from_numpy(bounds),
        "longest": max(int(lengths.max()), len(padded) - int(lengths.sum())),
    }


class Padding(torch.autograd.Function):
    """`Geometry.states`, whose gradient is a selection instead of a sum over places."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, geometry: Geometry) -> Tensor:
        """As `Geometry.states`."""
        ctx.geometry = geometry
        return geometry.states(hidden)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient of the flat hidden states."""
        flat: Tensor = ctx.geometry.to_flat(gradient.flatten(0, 1))
        return flat, None
