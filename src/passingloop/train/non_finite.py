"""Which examples made a loss or gradient NaN or infinite."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.data.examples.permutation import Indices
from passingloop.train.layout import Layout

SHOWN = 8
"""How many examples the message names."""


def blame(k: int, loss: float, norm: float, examples: Indices, module: Any, layout: Layout, fabric: Fabric) -> str:
    """The message for step `k` (from 0): what was not finite, and for which examples, tried one by one."""
    guilty = [int(example) for example in examples if not _finite(int(example), module, layout, fabric)]
    what = f"Step {k + 1}: the loss is {loss} and the gradient's norm {norm}. The weights are those before it."
    if len(guilty) == len(examples):
        return (
            f"{what} Every example of the step has a non-finite loss: training has diverged. Lower optim.lr, lengthen "
            "optim.warmup, or set trainer.precision=fp32."
        )
    if not guilty:
        return f"{what} No example has a non-finite loss by itself; the step's are {_rows(list(examples), layout)}."
    return f"{what} By themselves {_rows(guilty, layout)} have a non-finite loss. Look at these."


def _rows(examples: list[int], layout: Layout) -> str:
    """The rows of `examples` in words; of a mix, source by source."""
    sources = layout.tokens.sources or {"training": range(len(layout.tokens))}
    listed = []
    for source, theirs in sources.items():
        rows = sorted(layout.tokens.row(example) for example in examples if example in theirs)
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        if rows:
            listed.append(f"rows {', '.join(map(str, rows[:SHOWN]))}{more} of the {source} data")
    return f"{', '.join(listed)} (from 0)"


@torch.inference_mode()
def _finite(example: int, module: Any, layout: Layout, fabric: Fabric) -> bool:
    module.eval()
    outcome = module.validation_step(fabric.to_device(layout.batch([[example]], 1.0)), 0)
    return bool(outcome.losses.isfinite().all())
