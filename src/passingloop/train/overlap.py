"""What goes on while the device computes: the next step's tensors are laid out, the last step's numbers are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from passingloop.train.module import Batch

Made = TypeVar("Made")


def ahead(items: Iterator[Made]) -> Iterator[Made]:
    """The same `items`, none of which is None, each made in a thread while its predecessor is used."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="layout") as thread:
        coming = thread.submit(next, items, None)
        while (made := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield made


def pinned(batch: Batch, device: torch.device) -> Batch:
    """`batch` in page-locked memory, which a GPU reads by itself: a copy from other memory may wait for its stream."""
    return _pinned(batch) if device.type == "cuda" else batch


def _pinned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pinned(item) for name, item in value.items()}
    return value.pin_memory() if isinstance(value, Tensor) else value


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
