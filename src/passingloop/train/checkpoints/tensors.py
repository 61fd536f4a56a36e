"""A run's state at a step, as flat dicts of tensors by name: what a checkpoint holds.

The position is the step's number; learning rate, order and randomness follow from it. So the trained weights and the
optimizer's state are all there is to save.
"""

from __future__ import annotations

import torch
from torch import Tensor

from passingloop.errors import OtherVersion
from passingloop.text import list_excerpt
from passingloop.train.optim.optimizer import Optimizer

LISTED_NAMES = 3
"""Weights that an error names; of the others it has the count."""


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
    """Put saved tensors back.

    Raises:
        OtherVersion: other parameters are trained than those that were saved.
    """
    current = weights(module)
    other = sorted(current.keys() ^ saved_weights.keys())
    if other:
        raise OtherVersion(
            f"The checkpoint has other weights than are trained now ({list_excerpt(other, LISTED_NAMES)}): the run was "
            "begun by another version of this program, or with another model. rerun=true starts it afresh."
        )
    for name, value in saved_weights.items():
        current[name].copy_(value)
    parameters = dict(module.named_parameters())
    for key, value in saved_state.items():
        parameter_name, _, name = key.rpartition("/")
        parameter = parameters[parameter_name]
        optimizer.state[parameter][name] = value.to(parameter.device)
