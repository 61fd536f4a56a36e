"""Shards a model over the processes (FSDP2): each has an equal part of every weight, gradient and optimizer state.

The weights of a block are gathered before it computes, and freed after it. Gradients are averaged and sharded in every
micro-batch or, where memory has room for whole ones (`passingloop.model.strategy`), in the last of a step. Every
forward pass has collectives, so all processes must do the same number of passes.
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

from passingloop.model.device.blocks import repeated_blocks


def shard_model(model: torch.nn.Module, device: torch.device, processes: int) -> torch.nn.Module:
    """Shard `model` over all processes, block by block, which moves it to `device`. It is never complete there.

    Weights, gradients and sums stay in fp32, also with autocast, so that the result is the same as without sharding.

    Returns:
        A copy of `model` with meta tensors, for `gather_model`.
    """
    empty_model = _with_tensors(model, {name: tensor.to("meta") for name, tensor in _tensors(model)})
    mesh = init_device_mesh(device.type, (processes,))
    # The root frees its weights as well; otherwise they would stay gathered after an evaluation.
    for part in (*shardable_blocks(model), model):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    return empty_model


def shardable_blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of `model` that are sharded one by one: the members of its outermost lists of composite modules.

    Layers that share a parameter with another part of the model are left out, because sharding would untie it.
    """
    members = repeated_blocks(model)
    inside = {id(module) for block in members for module in block.modules()}
    others = [module for module in model.modules() if id(module) not in inside]
    holders = Counter(id(p) for block in members for p in block.parameters())
    holders.update(id(p) for module in others for p in module.parameters(recurse=False))
    return [block for block in members if all(holders[id(p)] == 1 for p in block.parameters())]


def gather_model(model: torch.nn.Module, empty_model: torch.nn.Module, *, keep: bool) -> Any:
    """The complete model on the CPU, for export; None in processes without `keep`.

    All processes must call it. Each device has one complete tensor at a time.

    Args:
        empty_model: the result of `shard_model`.
    """
    gathered = {}
    for name, tensor in _tensors(model):
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            gathered[name] = full.cpu()
    return _with_tensors(empty_model, gathered) if keep else None


def _tensors(model: torch.nn.Module) -> list[tuple[str, Tensor]]:
    """The parameters and buffers by name, each once."""
    return [(name, tensor.detach()) for name, tensor in (*model.named_parameters(), *model.named_buffers())]


def _with_tensors(model: torch.nn.Module, tensors: dict[str, Tensor]) -> torch.nn.Module:
    """A copy of `model` with `tensors` in place of its own. Tied tensors stay tied."""
    memo: dict[int, Any] = {
        id(p): torch.nn.Parameter(tensors[name], p.requires_grad) for name, p in model.named_parameters()
    }
    memo |= {id(buffer): tensors[name] for name, buffer in model.named_buffers()}
    return copy.deepcopy(model, memo)
