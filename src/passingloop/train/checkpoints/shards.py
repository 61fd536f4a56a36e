"""Files of a state that is spread over processes: each writes its parts as safetensors, with their places in the whole.

Through torch.distributed.checkpoint, whose own format has a pickle; the one of Hugging Face has none. Such files, and
plain safetensors files, are read into any number of processes, sharded or not.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.tensor import DTensor

from passingloop.errors import NotSaved
from passingloop.train.checkpoints.manifest import Measured, measure


def make_group() -> ProcessGroup:
    """A way for the processes to agree on a save while training communicates by another. All processes call it."""
    group: ProcessGroup = torch.distributed.new_group(backend="gloo")
    return group


def local_parts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of each tensor this process has: that of a sharded one (DTensor), or all."""
    return {name: tensor.to_local() if isinstance(tensor, DTensor) else tensor for name, tensor in tensors.items()}


def with_placements(copies: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`copies` of the parts of `tensors`, on whatever device, with the places that these have in the whole."""
    result = dict(copies)
    for name, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            # Not `from_local`, which moves to the device of the mesh what is a copy on the host.
            result[name] = DTensor(copies[name], tensor._spec, requires_grad=False)  # type: ignore[no-untyped-call]
    return result


def save(folder: Path, tensors: Mapping[str, Tensor], group: ProcessGroup) -> dict[str, Measured]:
    """Write `tensors` into `folder`: each process its parts, as ``shard-<process>-….safetensors``, synced.

    All processes of `group` call it, in any thread. It returns when all of them have written; to the first process
    with what each of them has measured of its files.

    Raises:
        NotSaved: on every process, if any of them could not write.
    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        state_dict_saver.save(dict(tensors), storage_writer=writer, process_group=group)
    except CheckpointException as error:
        reasons = [f"process {rank} says {failure[0]}" for rank, failure in error.failures.items()]
        raise NotSaved(", ".join(reasons)) from error
    rank, size = torch.distributed.get_rank(group), torch.distributed.get_world_size(group)
    mine = {file.name: measure(file) for file in folder.glob(f"shard-{rank + 1:05d}-*")}
    everyone: list[dict[str, Measured]] | None = [{} for _ in range(size)] if rank == 0 else None
    torch.distributed.gather_object(mine, everyone, dst=0, group=group)
    return {name: measured for files in everyone or [] for name, measured in files.items()}


def load(folder: Path, into: Mapping[str, Tensor]) -> None:
    """Fill the tensors of `into`, sharded or whole, from the safetensors files in `folder`: each process by itself.

    Raises:
        CheckpointException: a tensor is not there, or has another shape.
    """
    reader = HuggingFaceStorageReader(str(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)  # no_dist: nobody else is asked
        state_dict_loader.load(dict(into), storage_reader=reader, no_dist=True)
