"""The state as it is at one moment, in the host's memory, where training does not change it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor


class Copies:
    """Memory for one copy, which every save uses again: to allocate it takes longer than to fill it."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self._side: torch.cuda.Stream | None = None
        self._taken: torch.cuda.Event | None = None

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies of `tensors`; from a GPU only begun: `wait` before reading them, `before_update` before a change."""
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
        """Let the device finish the copies before anything that it is told from now on. Holds up the device only."""
        if self._taken is not None:
            torch.cuda.current_stream().wait_event(self._taken)

    def wait(self) -> None:
        """Wait until the copies are there; called by who writes them."""
        if self._taken is not None:
            self._taken.synchronize()
