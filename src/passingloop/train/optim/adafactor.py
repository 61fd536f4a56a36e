"""`optim=adafactor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from passingloop.config.bounds import between, limited, positive
from passingloop.train.optim.rule import Share, UpdateRule

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-30
"""Added to squared gradients: rows without a gradient have no update then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adafactor(UpdateRule):
    """Adafactor (arXiv:1804.04235, algorithms 4 and 5). Its state has the size of a matrix's edges, so that a model
    fits where AdamW's two moments do not. `optim.lr` is relative: a step moves a weight matrix by about that share of
    its own size. The choice sets `optim.lr` to 0.001, and neither decays weights nor clips the gradient."""

    # The second moment of a matrix is kept as the means of its rows and columns. torch's implementation reads two
    # numbers per parameter on the host in every step, and does not shard.

    kind: Literal["adafactor"]
    """Set by the choice `optim=adafactor`."""

    beta2_decay: float = limited(between(-1.0, 0.0))
    """The second moment after step t has decay rate 1 - t^`optim.beta2_decay`."""

    min_scale: float = limited(positive)
    """Smallest root mean square that a parameter counts as having: those at zero could not leave it."""

    clip: float = limited(positive)
    """Largest root mean square of an update, before learning rate and scale."""

    def blank_state(self, parameter: Tensor) -> dict[str, Tensor]:
        import torch

        step = {"step": torch.zeros((), device=parameter.device)}
        if parameter.ndim < 2:
            return step | {"variance": torch.zeros_like(parameter, requires_grad=False)}
        if parameter.ndim == 2:  # sharded by rows, so every process needs the means of all columns
            columns = torch.zeros((1, parameter.shape[1]), device=parameter.device)
        else:
            columns = torch.zeros_like(parameter[..., :1, :], requires_grad=False)
        return step | {"row_var": torch.zeros_like(parameter[..., :1], requires_grad=False), "col_var": columns}

    def update(self, share: Share, lr: float, weight_decay: float) -> None:
        values, gradient = share.values, share.gradient
        step = share.state["step"].add_(1)
        # Before the decay, as torch does. Relative to the parameter's own size: large weights take larger steps.
        scale = share.rms(values).clamp(min=self.min_scale) * step.rsqrt().clamp(max=lr)
        values.mul_(1 - lr * weight_decay)
        update = gradient * _inverse_root(share, gradient.square() + SMALLEST, step**self.beta2_decay)
        values.sub_(update * (scale / (share.rms(update) / self.clip).clamp(min=1.0)))


def _inverse_root(share: Share, squares: Tensor, weight: Tensor) -> Tensor:
    """1 / √(second moment), after `squares` have come in with `weight`."""
    if share.whole.ndim < 2:
        return share.state["variance"].lerp_(squares, weight).rsqrt()
    rows, columns = share.state["row_var"], share.state["col_var"]
    height = share.whole.shape[-2]
    # Of a matrix the rows are shared among the processes; of more dimensions the matrices are.
    total = share.total if share.whole.ndim == 2 else lambda part: part
    rows.lerp_(squares.mean(-1, keepdim=True), weight)
    columns.lerp_(total(squares.sum(-2, keepdim=True)) / height, weight)
    # rows · columns / mean(rows), each root by itself: the product would underflow.
    return (rows / (total(rows.sum(-2, keepdim=True)) / height)).rsqrt() * columns.rsqrt()
