"""A run's state at a step, as flat dicts of tensors by name: what a checkpoint holds.

The position is the step's number; learning rate, order and randomness follow from it. So the trained weights and
AdamW's moments are all there is to keep.
"""

from __future__ import annotations

import torch
from torch import Tensor


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """Everything training changes: trained parameters, tied ones once, and buffers that are part of the state."""
    persistent = module.state_dict(keep_vars=True).keys()
    changed = {name: p for name, p in module.named_parameters() if p.requires_grad}
    return {name: t.detach() for name, t in changed.items()} | {
        name: buffer for name, buffer in module.named_buffers() if name in persistent
    }


def moments(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as ``<parameter>/<kind>``."""
    return {
        f"{name}/{kind}": value
        for name, parameter in module.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


@torch.no_grad()
def restore(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    saved: dict[str, Tensor],
    saved_moments: dict[str, Tensor],
) -> None:
    """Put saved tensors back."""
    current = weights(module)
    assert current.keys() == saved.keys(), sorted(current.keys() ^ saved.keys())
    for name, value in saved.items():
        current[name].copy_(value)
    parameters = dict(module.named_parameters())
    for key, value in saved_moments.items():
        name, _, kind = key.rpartition("/")
        parameter = parameters[name]
        optimizer.state[parameter][kind] = value.to(parameter.device)
