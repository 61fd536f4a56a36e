"""Which examples made a loss or gradient NaN or infinite."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.data.order import Indices
from passingloop.train.layout import Layout

SHOWN = 8
"""How many examples the message names."""


def blame(k: int, loss: float, norm: float, examples: Indices, module: Any, layout: Layout, fabric: Fabric) -> str:
    """The message for step `k` (from 0): what was not finite, and for which examples, tried one by one."""
    guilty = [int(example) for example in examples if not _finite(int(example), module, layout, fabric)]
    rows = [int(layout.tokens.rows[example]) for example in guilty or examples]
    named = ", ".join(map(str, rows[:SHOWN])) + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")
    whose = (
        "Examples with a non-finite loss by themselves" if guilty else "No example has one by itself; the step's are"
    )
    return (
        f"Step {k + 1}: the loss is {loss} and the gradient's norm {norm}. The weights are those before it. "
        f"{whose} rows {named} of the training data (from 0). Look at these rows, lower optim.lr, or set "
        "trainer.precision=fp32."
    )


@torch.inference_mode()
def _finite(example: int, module: Any, layout: Layout, fabric: Fabric) -> bool:
    module.eval()
    outcome = module.validation_step(fabric.to_device(layout.batch([[example]], 1.0)), 0)
    return bool(outcome["losses"].isfinite().all())
