"""Loss, accuracy, macro-F1 and perplexity over a whole part, shared among the processes."""

from __future__ import annotations

import math

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from passingloop.train.layout import Layout
from passingloop.train.module import FineTuner
from passingloop.train.world import World, reduced


@torch.inference_mode()
def evaluate(module: FineTuner, layout: Layout, fabric: Fabric, world: World, classes: int) -> dict[str, float]:
    """The metrics of `layout`'s part.

    Args:
        classes: number of classes; 0 for causal_lm, which has `perplexity` instead of accuracy and F1.
    """
    shortest_first = np.argsort(layout.tokens.lengths, kind="stable")
    share = shortest_first[world.rank :: world.size]
    loss = torch.zeros((), dtype=torch.float64, device=fabric.device)
    # Per class: true positives, predictions, labels. Without classes one row counts the targets.
    counts = torch.zeros(3, max(1, classes), dtype=torch.int64, device=fabric.device)
    module.eval()
    for batch in layout.batches(share) if len(share) else ():
        outcome = module.validation_step(fabric.to_device(batch))
        loss += outcome["losses"].double().sum()
        counts += _count(outcome["labels"], outcome["predicted"], classes)
    module.train()
    loss, counts = reduced(fabric, loss, "sum"), reduced(fabric, counts, "sum")
    mean_loss = float(loss) / max(1, int(counts[2].sum()))
    if not classes:
        return {"loss": mean_loss, "perplexity": math.exp(min(mean_loss, 700.0))}
    return {"loss": mean_loss, "accuracy": accuracy(counts), "macro_f1": macro_f1(counts)}


def accuracy(counts: Tensor) -> float:
    """Share of the labels that were predicted. `counts` (3, classes): true positives, predictions, labels."""
    return int(counts[0].sum()) / int(counts[2].sum())


def macro_f1(counts: Tensor) -> float:
    """Mean over the classes that occur as label or prediction of F1 = 2 TP / (predictions + labels)."""
    hits, predictions, labels = counts.double()
    occurs = predictions + labels > 0
    return float((2 * hits[occurs] / (predictions + labels)[occurs]).mean())


def _count(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    hits = labels[labels == predicted]
    if not classes:
        return torch.tensor([[len(hits)], [len(labels)], [len(labels)]], device=labels.device)
    return torch.stack([torch.bincount(values, minlength=classes) for values in (hits, predicted, labels)])
