"""A stand-in for a GPU's memory where there is no GPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class CountedMemory:
    """Stands in for `GpuMeter` on a CPU: counts the bytes of all tensors that work makes and that still live, after
    each operation, and raises torch's own error where a GPU of `total` bytes would.

    It has no gaps between allocations and no memory of others, which a GPU has.
    """

    is_crowded = False

    def __init__(self, total: float, capacity: float | None = None) -> None:
        self.total, self.capacity = total, total if capacity is None else capacity
        self.peaks: list[float] = []
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        """Of earlier work too: gradients stay."""

    @property
    def taken(self) -> float:
        return sum(size for storage, size in self._live.values() if not storage.expired())

    def reserve(self, total: float) -> bool:
        return total <= self.total

    def peak(self, work: Callable[[], None], held: int) -> float:
        counting = _Counting(self._live, self.total, held)
        try:
            with counting:
                work()
        except torch.OutOfMemoryError:
            self.peaks.append(math.inf)
        else:
            self.peaks.append(counting.peak)
        return self.peaks[-1]


class _Counting(TorchDispatchMode):
    def __init__(self, live: dict[int, tuple[StorageWeakRef, int]], total: float, held: int) -> None:
        super().__init__()
        self.live, self.total, self.held, self.peak = live, total, held, 0.0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **kwargs or {})
        given = {tensor.untyped_storage()._cdata for tensor in tree_leaves((args, kwargs)) if _is_tensor(tensor)}
        for tensor in filter(_is_tensor, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if storage._cdata not in given:
                self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        # Counting takes long, and what has been made since the last time is an upper bound.
        if sum(size for _, size in self.live.values()) + self.held > self.peak:
            for name in [name for name, (storage, _) in self.live.items() if storage.expired()]:
                del self.live[name]
            self.peak = max(self.peak, self.held + sum(size for _, size in self.live.values()))
        if self.peak > self.total:
            raise torch.OutOfMemoryError("out of memory, as a GPU of this size would be")
        return result


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)
