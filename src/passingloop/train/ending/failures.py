"""What a failure is: a crash, memory that ran out and whose, or examples that make a loss not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from passingloop.data.examples.permutation import Indices
from passingloop.data.rows.places import describe_places
from passingloop.errors import PassingloopError
from passingloop.rundir.failure import Failure
from passingloop.train.layout import Layout

if TYPE_CHECKING:
    from lightning.fabric import Fabric  # which `passingloop prepare` does without

HOST_MEMORY = ("can't allocate memory", "not enough memory", "std::bad_alloc", "Cannot allocate memory")
"""How torch and the C library say that the machine's memory is used up."""


Shape = tuple[int, int]


def failure_of(error: BaseException, step: int, shape: Shape) -> Failure:
    """What is to be written down about an error after `step` steps.

    Args:
        shape: rows and tokens in each of the largest micro-batch.
    """
    rows, width = shape
    if isinstance(error, torch.OutOfMemoryError):
        remedy = "Lower data.max_length, use more GPUs with resources.strategy=fsdp, or less memory with adapter=qlora."
        if not rows:
            what = f"The GPU's memory ran out before the first step: {_first_line(error)}."
            return Failure(step=step, cause="oom", message=f"{what} {remedy}")
        what = f"The GPU's memory ran out in step {step + 1}, with {rows} rows in a forward pass: {_first_line(error)}"
        if rows > 1:
            return Failure(step=step, cause="oom", message=what, memory="device", tokens=rows * width)
        return Failure(step=step, cause="oom", message=f"{what} One row cannot be divided. {remedy}")
    text = str(error)
    if is_out_of_memory(error):
        message = f"The machine's memory ran out in step {step + 1}: {_first_line(error)}"
        return Failure(step=step, cause="oom", message=message, memory="host")
    named = text if isinstance(error, PassingloopError) else f"{type(error).__name__}: {text}"
    return Failure(step=step, cause="crash", message=named)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of the machine ran out."""
    is_host = isinstance(error, RuntimeError) and any(words in str(error) for words in HOST_MEMORY)
    return is_host or isinstance(error, MemoryError | torch.OutOfMemoryError)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def non_finite_message(
    k: int, loss: float, norm: float, examples: Indices, module: Any, layout: Layout, fabric: Fabric
) -> str:
    """The message for step `k` (from 0): what was not finite, and for which examples, tried one by one."""
    guilty = [int(example) for example in examples if not _finite(int(example), module, layout, fabric)]
    what = f"Step {k + 1}: the loss is {loss} and the gradient's norm {norm}. The weights are those before it."
    if len(guilty) == len(examples):
        return (
            f"{what} Every example of the step has a non-finite loss: training has diverged. Lower optim.lr, lengthen "
            "optim.warmup, or set trainer.precision=fp32."
        )
    if not guilty:
        return f"{what} No example has a non-finite loss by itself; the step's are {_places(list(examples), layout)}."
    return f"{what} By themselves these examples have a non-finite loss: {_places(guilty, layout)}. Look at these."


def _places(examples: list[int], layout: Layout) -> str:
    """Where `examples` come from; of a mix, source by source."""
    tokens = layout.tokens
    if not tokens.sources:
        return describe_places(map(tokens.place, examples))
    by_source = {
        name: [tokens.place(example) for example in examples if example in theirs]
        for name, theirs in tokens.sources.items()
    }
    return "; ".join(f"{name}: {describe_places(places)}" for name, places in by_source.items() if places)


@torch.inference_mode()
def _finite(example: int, module: Any, layout: Layout, fabric: Fabric) -> bool:
    module.eval()
    outcome = module.validation_step(fabric.to_device(layout.batch([[example]], 1.0)), 0)
    return bool(outcome.losses.isfinite().all())
