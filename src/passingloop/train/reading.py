"""Numbers that the device computes, read without holding it up."""

from __future__ import annotations

import torch
from torch import Tensor


class Reading:
    """`values`, on their way to the host. Read a step later they are there, and nobody has waited for them."""

    def __init__(self, values: Tensor) -> None:
        self._host, self._there = values, None
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._there.record()

    def read(self) -> list[float]:
        """The numbers, waited for if need be."""
        if self._there is not None:
            self._there.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers
