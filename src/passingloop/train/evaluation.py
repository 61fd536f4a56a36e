"""Loss, accuracy, macro-F1 and perplexity over a whole part, shared among the processes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from passingloop.handoff import World
from passingloop.preempt.signals import StopRequest
from passingloop.train.layout import Layout
from passingloop.train.module import Batch, FineTuner
from passingloop.train.world import reduced

Sums = tuple[Tensor, Tensor]
"""The sum of the losses, and per class the true positives, predictions and labels, shape (3, classes). Without classes
one row counts the targets."""


CHUNK = 1 << 16
"""How many examples are laid out at a time: a part may be larger than what their rows take in memory."""


def evaluate(
    module: FineTuner, layout: Layout, fabric: Fabric, world: World, classes: int, stop: StopRequest | None = None
) -> dict[str, float] | None:
    """The metrics of `layout`'s part; None if any of the processes is asked to stop meanwhile, which then all do.

    Of a mix also those of each source, as ``source/accuracy``.

    Args:
        classes: number of classes; 0 for causal_lm, which has `perplexity` instead of accuracy and F1.
    """
    sources = layout.tokens.sources or {"": range(len(layout.tokens))}
    found: dict[str, Sums] = {}
    module.eval()
    for name, examples in sources.items():
        sums = _sums(module, layout, examples, fabric, world, classes, stop)
        if sums is None:
            break
        found[name] = sums
    module.train()
    if len(found) < len(sources):
        return None
    loss, counts = (torch.stack(each).sum(0) for each in zip(*found.values(), strict=True))
    metrics = _metrics(loss, counts, classes)
    for name, sums in found.items() if layout.tokens.sources else ():
        metrics |= {f"{name}/{metric}": value for metric, value in _metrics(*sums, classes).items()}
    return metrics


@torch.no_grad()  # in inference mode FSDP would gather weights into tensors that training cannot use
def _sums(
    module: FineTuner,
    layout: Layout,
    examples: range,
    fabric: Fabric,
    world: World,
    classes: int,
    stop: StopRequest | None,
) -> Sums | None:
    """What the metrics of `examples` are made of, over all processes."""
    loss = torch.zeros((), dtype=torch.float64, device=fabric.device)
    counts = torch.zeros(3, max(1, classes), dtype=torch.int64, device=fabric.device)
    given_up = False
    for batch in _batches(layout, examples, world):
        # Where every forward pass takes all processes, none may leave without the others.
        asked = stop is not None and stop.requested is not None
        given_up = _any(fabric, asked) if layout.even else asked
        if given_up:
            break
        outcome = module.validation_step(fabric.to_device(batch))
        loss += outcome["losses"].double().sum()
        counts += _count(outcome["labels"], outcome["predicted"], classes)
    if _any(fabric, given_up):
        return None
    return reduced(fabric, loss, "sum"), reduced(fabric, counts, "sum")


def _batches(layout: Layout, examples: range, world: World) -> Iterator[Batch]:
    """This process's share of `examples`, those of like length together."""
    shortest_first = examples.start + np.argsort(layout.tokens.lengths[examples.start : examples.stop], kind="stable")
    for start in range(0, len(shortest_first), CHUNK):
        yield from layout.batches(shortest_first[start : start + CHUNK], world)


def _metrics(loss: Tensor, counts: Tensor, classes: int) -> dict[str, float]:
    mean_loss = float(loss) / max(1, int(counts[2].sum()))
    if not classes:
        return {"loss": mean_loss, "perplexity": math.exp(min(mean_loss, 700.0))}
    return {"loss": mean_loss, "accuracy": accuracy(counts), "macro_f1": macro_f1(counts)}


def _any(fabric: Fabric, yes: bool) -> bool:
    """Whether any process says yes."""
    return bool(reduced(fabric, torch.tensor(float(yes), device=fabric.device), "sum"))


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
