"""The one LightningModule: every task, any transformers model, unchanged in a shell and in the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NotRequired, TypedDict

import torch
from lightning import LightningModule
from torch import Tensor

from passingloop.config.settings import OptimConfig
from passingloop.model.chunked_loss import VocabularyLoss
from passingloop.model.mask_checks import known_masks
from passingloop.tasks.task import IGNORED, LearningTask, Outcome
from passingloop.train.optim.optimizer import Optimizer, make_optimizer


class Batch(TypedDict):
    """What one forward pass works on; b rows of t tokens."""

    inputs: dict[str, Any]
    """Arguments of the model: input_ids (b, t); attention_mask (b, t) where rows are padded, or position_ids (b, t)
    where several examples share a row, and what tells the attention where they begin; for models that compute without
    padding also where the tokens stand."""
    labels: Tensor
    """As `LearningTask.batch_labels` makes them."""
    counted: NotRequired[Tensor]
    """Of causal models: the places in the flattened labels of those that count, filled up with a place whose label is
    ignored, to few sizes; shape (n,)."""
    examples: Tensor
    """The numbers of the examples, in the order of their rows; none in a batch of which nothing counts."""
    tokens: int
    """Those of the examples."""
    places: int
    """Those that the model computes for them, padding included."""
    normalizer: float
    """What the sum of losses is divided by: the count of labels or tokens, or their weight, over the whole step and
    all processes, divided by the number of processes, because DDP averages their gradients."""


class FineTuner(LightningModule):
    """A transformers model, its loss and its optimizer.

    Args:
        model: takes `Batch.inputs`, returns an object with `logits`.
        task: what is learned: it knows loss and metrics.
        optim: the optimizer's settings.
        bf16: compute matrix products in bf16 (autocast); weights, gradients and loss stay fp32.
        statistics: what the task takes from the training data; see `LearningTask.statistics`.
    """

    statistics: Tensor | None

    vocabulary_loss: VocabularyLoss | None = None
    """Computes the loss of a causal model without whole logits; None: they are computed."""

    def __init__(
        self,
        model: torch.nn.Module,
        task: LearningTask,
        optim: OptimConfig,
        *,
        bf16: bool = False,
        statistics: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.bf16 = bf16
        self.model = model
        self.task = task
        self.optim = optim
        self.register_buffer("statistics", statistics, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits in fp32: (b, classes), or (b, t, vocabulary)."""
        with self._computing(batch):
            logits: Tensor = self.model(**batch["inputs"], **self._no_cache).logits
        return logits.float()

    def training_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """This micro-batch's share of the step's loss: summed over micro-batches and averaged over processes it is
        the mean over all labels of the step, however they are divided."""
        if self.vocabulary_loss is None:
            return self.task.loss(self(batch), batch["labels"], self.statistics) / batch["normalizer"]
        with self._computing(batch):
            total = self.vocabulary_loss.sum(batch["inputs"], batch["labels"], batch["counted"])
        return total / batch["normalizer"]

    # Under this name Fabric lets it be called on what it has wrapped.
    def validation_step(self, batch: Batch, batch_idx: int = 0) -> Outcome:  # type: ignore[override]
        """What evaluation keeps of the batch."""
        if self.vocabulary_loss is None:
            return self.task.outcome(self(batch), batch["labels"], self.statistics)
        with self._computing(batch):
            losses = self.vocabulary_loss.each(batch["inputs"], batch["labels"], batch["counted"])
        return Outcome(losses=losses, counts=(batch["labels"] != IGNORED).sum()[None])

    def configure_optimizers(self) -> Optimizer:
        """That of `optim`, for the parameters that are trained."""
        return make_optimizer(self.optim, self.parameters())

    @contextmanager
    def _computing(self, batch: Batch) -> Iterator[None]:
        """What the model computes inside is in the run's number format, and looks at no mask on the host."""
        with (
            known_masks(packed="position_ids" in batch["inputs"]),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            yield

    @property
    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if self.task.causal else {}
