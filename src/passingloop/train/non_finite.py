"""Which examples made a loss or gradient NaN or infinite."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric import Fabric

from passingloop.data.examples.permutation import Indices
from passingloop.data.rows.places import places_in_words
from passingloop.train.layout import Layout


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
        return f"{what} No example has a non-finite loss by itself; the step's are {_places(list(examples), layout)}."
    return f"{what} By themselves these examples have a non-finite loss: {_places(guilty, layout)}. Look at these."


def _places(examples: list[int], layout: Layout) -> str:
    """Where `examples` come from; of a mix, source by source."""
    tokens = layout.tokens
    if not tokens.sources:
        return places_in_words(map(tokens.place, examples))
    by_source = {
        name: [tokens.place(example) for example in examples if example in theirs]
        for name, theirs in tokens.sources.items()
    }
    return "; ".join(f"{name}: {places_in_words(places)}" for name, places in by_source.items() if places)


@torch.inference_mode()
def _finite(example: int, module: Any, layout: Layout, fabric: Fabric) -> bool:
    module.eval()
    outcome = module.validation_step(fabric.to_device(layout.batch([[example]], 1.0)), 0)
    return bool(outcome.losses.isfinite().all())
