"""The blocks that a model repeats, and how each is computed in training: compiled or not, twice or once.

A block that is computed twice keeps its input only, and computes again in the backward pass what that needs
(activation checkpointing): the same numbers, dropout included, for less memory and about a third more time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache

Forward = Callable[..., Any]


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """The members of the model's outermost lists of composite modules: its layers, in all usual architectures."""
    if isinstance(model, nn.ModuleList) and len(model) > 1 and all(any(part.children()) for part in model):
        return list(model)
    return [block for child in model.children() for block in repeated_blocks(child)]


class Computation:
    """How a block computes: in training as chosen, in evaluation as it is.

    Evaluation has shapes of its own, for which a block would be compiled again, and keeps nothing.
    """

    def __init__(self, block: nn.Module) -> None:
        self._block, self._plain = block, block.forward
        self.code: Forward = block.forward
        self.recomputes = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._block.training and torch.is_grad_enabled()):
            return self._plain(*args, **kwargs)
        # Training generates nothing; and a block that is computed twice would fill a cache twice.
        args = tuple(None if isinstance(value, Cache) else value for value in args)
        kwargs = {name: None if isinstance(value, Cache) else value for name, value in kwargs.items()}
        if self.recomputes:
            return checkpoint(self.code, *args, use_reentrant=False, **kwargs)
        return self.code(*args, **kwargs)

    def use(self, compiler: Callable[[Forward], Forward] | None) -> None:
        """Compute with what the `compiler` makes of the block; as it is without one."""
        self.code = compiler(self._plain) if compiler else self._plain


class Blocks:
    """The repeated blocks of `model`. Their parameters and names stay what they are."""

    def __init__(self, model: nn.Module) -> None:
        self._computations: list[Computation] = []
        for block in dict.fromkeys(repeated_blocks(model)):
            computation = Computation(block)
            block.forward = computation
            self._computations.append(computation)

    def __len__(self) -> int:
        return len(self._computations)

    def use(self, compiler: Callable[[Forward], Forward] | None) -> None:
        """Compile the blocks; without a `compiler` they are computed as they are."""
        for computation in self._computations:
            computation.use(compiler)

    def recompute(self, count: int) -> None:
        """Have the first `count` blocks computed twice, the others once.

        The first ones, because when they are computed again, what the others have kept is gone.
        """
        for number, computation in enumerate(self._computations):
            computation.recomputes = number < count


def fewest_recomputed(peak: Callable[[int], float], blocks: int, capacity: float) -> int:
    """The smallest number of blocks to be computed twice for the `peak` of a pass to be within `capacity`.

    All of them if even that is not enough.

    Args:
        peak: bytes of a pass in which so many blocks are computed twice; infinite if memory ran out.
    """
    if peak(0) <= capacity:
        return 0
    too_few, enough = 0, blocks
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if peak(middle) <= capacity:
            enough = middle
        else:
            too_few = middle
    return enough
