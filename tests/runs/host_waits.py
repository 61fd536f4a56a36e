"""A stand-in for `torch.cuda.set_sync_debug_mode` on a machine without a GPU: it watches tensors on the CPU."""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = {"_local_scalar_dense", "bincount", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive"}
READS |= {"_unique", "_unique2", "unique_dim"}
"""Operations whose result is on the host, or has a size that follows from values on the device."""

CALLS = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
CALLS |= {torch.tensor, torch.as_tensor, torch.from_numpy}
"""Functions that read a tensor, or make one of values on the host, which is then copied from pageable memory."""


class HostWaitsStandIn:
    """Counts, in this thread and while it is entered, what would make the host wait if the tensors were on a GPU.

    Not seen: what depends on where a tensor is, such as a copy from one device to another.
    """

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        """How often, by the operation and the place in our code or a library's that asked for it."""
        self._modes = _Operations(self.found), _Calls(self.found)

    def __enter__(self) -> None:
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indexes = args[1] if name in ("index", "index_put", "index_put_") else ()
        if name in READS or any(index is not None and index.dtype == torch.bool for index in indexes):
            self._found[f"{name} {_place()}"] += 1
        return func(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CALLS:
            self._found[f"{func.__name__} {_place()}"] += 1
        return func(*args, **(kwargs or {}))


def _place() -> str:
    """The innermost line that is neither torch's nor this file's."""
    lines = [line for line in traceback.extract_stack() if "/torch/" not in line.filename]
    line = next(line for line in reversed(lines) if line.filename != __file__)
    return f"{line.filename}:{line.lineno}"
