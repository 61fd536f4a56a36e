"""What an error means for the run: a crash, or memory that ran out, and whose."""

from __future__ import annotations

import torch

from passingloop.errors import PassingloopError
from passingloop.rundir.failure import Failure

HOST_MEMORY = ("can't allocate memory", "not enough memory", "std::bad_alloc", "Cannot allocate memory")
"""How torch and the C library say that the machine's memory is used up."""


Shape = tuple[int, int]


def failed(error: BaseException, step: int, shape: Shape) -> Failure:
    """What is to be written down about an error after `step` steps.

    Args:
        shape: rows and tokens in each of the largest micro-batch.
    """
    rows, width = shape
    if isinstance(error, torch.OutOfMemoryError):
        what = f"The GPU's memory ran out in step {step + 1}, with {rows} rows in a forward pass: {_first_line(error)}"
        if rows > 1:
            return Failure(step=step, cause="oom", message=what, memory="device", tokens=rows * width)
        remedy = "Lower data.max_length, or use more GPUs with resources.strategy=fsdp."
        return Failure(step=step, cause="oom", message=f"{what} One row cannot be divided. {remedy}")
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in text for w in HOST_MEMORY)):
        message = f"The machine's memory ran out in step {step + 1}: {_first_line(error)}"
        return Failure(step=step, cause="oom", message=message, memory="host")
    named = text if isinstance(error, PassingloopError) else f"{type(error).__name__}: {text}"
    return Failure(step=step, cause="crash", message=named)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
