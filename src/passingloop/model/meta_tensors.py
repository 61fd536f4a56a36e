"""Tensors without memory, on torch's meta device, of which only the shapes count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class MetaShortcuts(TorchFunctionMode):
    """Shortcuts for what loading and planning do with such tensors: torch would import sympy for it, in 0.2 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        tensor: Any = args[0] if args else named.get("tensor")
        if type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.is_meta and tensor.is_contiguous():
            if getattr(func, "__module__", None) == "torch.nn.init":  # there is nothing to draw
                return tensor
            if func is torch.empty_like and named.keys() == {"device"}:
                return torch.empty(tensor.shape, dtype=tensor.dtype, device=named["device"])
            if func is torch.zeros_like and named == {"requires_grad": False}:
                return torch.zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        return func(*args, **named)
