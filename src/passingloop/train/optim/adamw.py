"""`optim=adamw`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from passingloop.config.bounds import below, limited, positive
from passingloop.config.settings import OptimConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW(OptimConfig):
    """AdamW (arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    """Set by the choice `optim=adamw`."""

    betas: tuple[float, ...] = limited(below(0.0, 1.0))
    """Decay rates of the first and second moment."""

    eps: float = limited(positive)
    """Added to the denominator of the update."""

    def contradictions(self) -> Iterator[str]:
        if len(self.betas) != 2:
            yield f"optim.betas={list(self.betas)} must be two numbers, such as [0.9,0.999]."

    def blank_state(self, parameter: Tensor) -> dict[str, Tensor]:
        import torch

        return {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }
