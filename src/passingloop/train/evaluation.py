"""A task's metrics over a whole part, shared among the processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from passingloop.handoff import World
from passingloop.preempt.signals import StopRequest
from passingloop.tasks.task import Evaluation
from passingloop.train.layout import Layout
from passingloop.train.module import Batch, FineTuner
from passingloop.train.overlap import HostCopy, ahead, pinned
from passingloop.train.world import all_reduce
from passingloop.vitals.marks import MARKS

CHUNK = 1 << 16
"""How many examples are laid out at a time: a part may be larger than what their rows take in memory."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What some examples have given, over all processes."""

    examples: range
    loss: Tensor
    counts: Tensor
    predictions: Tensor | None
    """Shape (n, k), in the order of the examples."""


def evaluate(
    module: FineTuner,
    layout: Layout,
    fabric: Fabric,
    world: World,
    names: Sequence[str],
    stop: StopRequest | None = None,
) -> dict[str, float] | None:
    """The metrics of `layout`'s part; None if any of the processes is asked to stop meanwhile, which then all do.

    Of a mix also those of each source, as ``source/accuracy``.

    Args:
        names: of what the model's head gives.
    """
    sources = layout.tokens.sources or {"": range(len(layout.tokens))}
    sums: dict[str, Sums] = {}
    module.eval()
    for source, examples in sources.items():
        of_source = _sums(module, layout, examples, fabric, world, stop)
        if of_source is None:
            break
        sums[source] = of_source
    module.train()
    if len(sums) < len(sources):
        return None
    MARKS.enter("computing the metrics", "work")
    metrics = _metrics(module, layout, _concatenate(list(sums.values())), names)
    for source, of_source in sums.items() if layout.tokens.sources else ():
        own = _metrics(module, layout, of_source, names)
        metrics |= {f"{source}/{metric}": value for metric, value in own.items()}
    return metrics


@torch.no_grad()  # in inference mode FSDP would gather weights into tensors that training cannot use
def _sums(
    module: FineTuner, layout: Layout, examples: range, fabric: Fabric, world: World, stop: StopRequest | None
) -> Sums | None:
    loss = torch.zeros((), dtype=torch.float64, device=fabric.device)
    counts: Tensor | None = None
    predictions: Tensor | None = None
    given_up = False
    unread: HostCopy | None = None
    for on_host in ahead(pinned(batch, fabric.device) for batch in _batches(layout, examples, world)):
        asked = stop is not None and stop.requested is not None
        given_up = asked
        if layout.even:  # every forward pass takes all processes, so that none may leave without the others
            # The answer of the batch before: it is there, and nobody has waited for the device.
            given_up = unread is not None and bool(unread.read()[0])
            unread = HostCopy(_count_processes(fabric, asked))
        MARKS.sign()
        if given_up:
            break
        batch = fabric.to_device(on_host)
        outcome = module.validation_step(batch)
        loss += outcome.losses.double().sum()
        counts = outcome.counts if counts is None else counts + outcome.counts
        if outcome.predictions is not None:
            if predictions is None:
                predictions = outcome.predictions.new_zeros(len(examples), outcome.predictions.shape[1])
            if len(batch["examples"]):
                predictions[batch["examples"] - examples.start] = outcome.predictions
    if _count_processes(fabric, given_up) > 0:
        return None
    assert counts is not None, "every process has a batch"
    # Each row of the predictions is zero on all processes but one: their sum is exact.
    gathered = None if predictions is None else all_reduce(fabric, predictions, "sum")
    return Sums(examples, all_reduce(fabric, loss, "sum"), all_reduce(fabric, counts, "sum"), gathered)


def _batches(layout: Layout, examples: range, world: World) -> Iterator[Batch]:
    """This process's share of `examples`, those of like length together."""
    shortest_first = examples.start + np.argsort(layout.tokens.lengths[examples.start : examples.stop], kind="stable")
    for start in range(0, len(shortest_first), CHUNK):
        yield from layout.batches(shortest_first[start : start + CHUNK], world)


def _concatenate(sums: Sequence[Sums]) -> Sums:
    """Those of all sources, which stand one after another."""
    return Sums(
        range(sums[0].examples.start, sums[-1].examples.stop),
        torch.stack([each.loss for each in sums]).sum(0),
        torch.stack([each.counts for each in sums]).sum(0),
        torch.cat([each.predictions for each in sums if each.predictions is not None])
        if sums[0].predictions is not None
        else None,
    )


def _metrics(module: FineTuner, layout: Layout, sums: Sums, names: Sequence[str]) -> dict[str, float]:
    return module.task.metrics(
        Evaluation(
            loss=float(sums.loss),
            counts=sums.counts,
            predictions=None if sums.predictions is None else sums.predictions.cpu().numpy(),
            tokens=layout.tokens,
            examples=sums.examples,
            names=names,
            statistics=module.statistics,
        )
    )


def _count_processes(fabric: Fabric, yes: bool) -> Tensor:
    """How many processes say yes, as a number on the device."""
    return all_reduce(fabric, torch.full((1,), float(yes), device=fabric.device), "sum")
