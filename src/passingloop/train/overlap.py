"""What goes on while the device computes: the next step's tensors are laid out, the last step's numbers are fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")


def prefetch(make: Callable[[int], Made], first: int, last: int) -> Iterator[Made]:
    """``make(first)`` … ``make(last - 1)`` in order, each made in a thread while its predecessor is used."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="layout") as thread:
        coming = thread.submit(make, first) if first < last else None
        for number in range(first + 1, last + 1):
            assert coming is not None
            made = coming.result()
            coming = thread.submit(make, number) if number < last else None
            yield made


class HostCopy:
    """`values`, on their way to the host. Read a step later they are there, and nobody has waited for them."""

    def __init__(self, values: Tensor) -> None:
        self._host, self._there = values, None
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._there.record()

    @property
    def is_there(self) -> bool:
        """Whether the device has computed it, and with it all that was queued before."""
        return self._there is None or bool(self._there.query())  # type: ignore[no-untyped-call]

    def read(self) -> list[float]:
        """The numbers, waited for if need be."""
        if self._there is not None:
            self._there.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers
