"""A model spread over the processes: each holds an equal part of every weight, gradient and moment (FSDP2).

A block's weights are gathered just before it computes and given up after; gradients are averaged and divided again in
every micro-batch, since those that wait for more would lie whole in each process. So every forward pass takes part in
collectives: all processes must do equally many.
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor


def shard(model: torch.nn.Module, device: torch.device, processes: int) -> torch.nn.Module:
    """Spread `model` over all processes, block by block, which moves it to `device`: there it is never whole.

    Weights, gradients and sums stay fp32, under autocast as well, so that the same is learned as without.

    Returns:
        What `gather_model` needs: a copy of `model` without its tensors.
    """
    hollow = _with_tensors(model, {name: tensor.to("meta") for name, tensor in _tensors(model)})
    mesh = init_device_mesh(device.type, (processes,))
    # The root gives its weights up as well, or they would be found whole after an evaluation.
    for part in (*blocks(model), model):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    return hollow


def blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of `model` that are sharded one by one: members of its outermost lists of composite modules.

    Those that share a parameter with another part of the model are left out: by themselves they would lose it.
    """
    members = _list_members(model)
    inside = {id(module) for block in members for module in block.modules()}
    others = [module for module in model.modules() if id(module) not in inside]
    holders = Counter(id(p) for block in members for p in block.parameters())
    holders.update(id(p) for module in others for p in module.parameters(recurse=False))
    return [block for block in members if all(holders[id(p)] == 1 for p in block.parameters())]


def gather_model(model: torch.nn.Module, hollow: torch.nn.Module, *, here: bool) -> Any:
    """The sharded `model` put together on the CPU, for export; None on processes without `here`.

    All processes call it. One tensor at a time is whole on each device.
    """
    gathered = {}
    for name, tensor in _tensors(model):
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if here:
            gathered[name] = full.cpu()
    return _with_tensors(hollow, gathered) if here else None


def _list_members(module: torch.nn.Module) -> list[torch.nn.Module]:
    if isinstance(module, torch.nn.ModuleList) and len(module) > 1 and all(any(part.children()) for part in module):
        return list(module)
    return [block for child in module.children() for block in _list_members(child)]


def _tensors(model: torch.nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, each once."""
    return [(name, tensor.detach()) for name, tensor in (*model.named_parameters(), *model.named_buffers())]


def _with_tensors(model: torch.nn.Module, tensors: dict[str, Tensor]) -> torch.nn.Module:
    """A copy of `model` that has `tensors` in place of its own; what was tied stays tied."""
    memo: dict[int, Any] = {
        id(p): torch.nn.Parameter(tensors[name], p.requires_grad) for name, p in model.named_parameters()
    }
    memo |= {id(buffer): tensors[name] for name, buffer in model.named_buffers()}
    return copy.deepcopy(model, memo)
