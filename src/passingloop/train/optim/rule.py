"""The update of one parameter: what most optimizers are written as.

It is a method of the optimizer's settings. They are read on the login node, so torch is imported only where tensors are
made.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from passingloop.config.settings import OptimConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What this process has of one parameter: all of it, or under FSDP2 a block of its first dimension."""

    values: Tensor
    gradient: Tensor
    state: dict[str, Tensor]
    whole: Tensor
    """The parameter itself: its shape is that of the whole."""

    def total(self, part: Tensor) -> Tensor:
        """The sum of `part` over all processes that share the parameter."""
        if is_sharded(self.whole):
            import torch.distributed

            torch.distributed.all_reduce(part, group=self.whole.device_mesh.get_group())  # type: ignore[attr-defined]
        return part

    def rms(self, part: Tensor) -> Tensor:
        """Root mean square over the whole tensor of which this process has `part`."""
        return (self.total(part.square().sum()) / self.whole.numel()).sqrt()


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateRule(OptimConfig):
    """The settings of an optimizer with its update of one parameter; `GuardedOptimizer` does everything else."""

    @abstractmethod
    def update(self, share: Share, lr: float, weight_decay: float) -> None:
        """Change `share.values` and `share.state` in place. Read no tensor on the host: that waits for the device.

        Args:
            lr: learning rate of this step.
            weight_decay: that of this parameter.
        """


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor. To import that class takes time, for those who need it."""
    return hasattr(tensor, "to_local")
