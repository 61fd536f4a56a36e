"""Parameters, and steps of an optimizer over them."""

from __future__ import annotations

import torch

from passingloop.train.optim.optimizer import Optimizer


def parameters() -> list[torch.nn.Parameter]:
    """A matrix, a vector, a scalar, three matrices in one tensor, and a frozen one."""
    torch.manual_seed(1)
    made = [torch.nn.Parameter(torch.randn(shape)) for shape in ((5, 3), (4,), (), (3, 2, 4), (2, 2))]
    made[-1].requires_grad_(False)
    return made


def step(optimizer: torch.optim.Optimizer, learned: list[torch.nn.Parameter], k: int, scale: float = 1.0) -> None:
    torch.manual_seed(k)
    for parameter in learned:
        if parameter.requires_grad:
            parameter.grad = scale * torch.randn(parameter.shape)
    optimizer.step()


def tensors(optimizer: Optimizer, learned: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    state = [value for parameter in learned for value in optimizer.state.get(parameter, {}).values()]
    return [tensor.detach().clone() for tensor in [*learned, *state]]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
