"""Copies of the state in host memory, which training does not change while they are written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor


class Copies:
    """Host memory for one copy of the state, reused by every save: allocating it takes longer than filling it."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._side: torch.cuda.Stream | None = None
        self._taken: torch.cuda.Event | None = None

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies of `tensors`. From a GPU they are asynchronous: call `wait` before reading them, and `before_update`
        before the tensors change."""
        on_gpu = any(tensor.is_cuda for tensor in tensors.values())
        if on_gpu and self._side is None:
            self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        if self._side is not None:
            self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side) if self._side else nullcontext():
            for name, tensor in tensors.items():
                if name not in self._memory:
                    self._memory[name] = torch.empty_like(
                        tensor, device="cpu", memory_format=torch.contiguous_format, pin_memory=tensor.is_cuda
                    )
                self._memory[name].copy_(tensor, non_blocking=True)
        if self._side is not None:
            self._taken = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._taken.record(self._side)
        return {name: self._memory[name] for name in tensors}

    def before_update(self) -> None:
        """Make the device finish the copies before any work that is queued from now on; the host does not wait."""
        if self._taken is not None:
            torch.cuda.current_stream().wait_event(self._taken)

    def wait(self) -> None:
        """Wait until the copies are complete. Called by the thread that writes them."""
        if self._taken is not None:
            self._taken.synchronize()
