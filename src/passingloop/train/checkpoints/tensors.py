"""A run's state at a step, as flat dicts of tensors by name: what a checkpoint holds.

The position is the step's number; learning rate, order and randomness follow from it. So the trained weights and the
optimizer's state are all there is to save.
"""

from __future__ import annotations

import torch
from torch import Tensor

from passingloop.train.optim.optimizer import Optimizer


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """Everything training changes: trained parameters, tied ones once, and buffers that are part of the state."""
    persistent = module.state_dict(keep_vars=True).keys()
    changed = {name: p for name, p in module.named_parameters() if p.requires_grad}
    return {name: t.detach() for name, t in changed.items()} | {
        name: buffer for name, buffer in module.named_buffers() if name in persistent
    }


def optimizer_state(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as ``<parameter>/<name>``, as `OptimConfig.blank_state` names them."""
    return {
        f"{parameter_name}/{name}": value
        for parameter_name, parameter in module.named_parameters()
        for name, value in optimizer.state.get(parameter, {}).items()
    }


def blank_state(module: torch.nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """`optimizer_state` before the first update, sharded as the parameters are: what a checkpoint is read into."""
    return {
        f"{parameter_name}/{name}": value
        for parameter_name, parameter in module.named_parameters()
        if parameter.requires_grad
        for name, value in optimizer.settings.blank_state(parameter).items()
    }


@torch.no_grad()
def restore(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    saved_weights: dict[str, Tensor],
    saved_state: dict[str, Tensor],
) -> None:
    """Put saved tensors back."""
    current = weights(module)
    assert current.keys() == saved_weights.keys(), sorted(current.keys() ^ saved_weights.keys())
    for name, value in saved_weights.items():
        current[name].copy_(value)
    parameters = dict(module.named_parameters())
    for key, value in saved_state.items():
        parameter_name, _, name = key.rpartition("/")
        parameter = parameters[parameter_name]
        optimizer.state[parameter][name] = value.to(parameter.device)
