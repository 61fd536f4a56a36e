"""The one LightningModule: both tasks, any transformers model, unchanged in a shell and in the queue."""

from __future__ import annotations

from typing import TypedDict

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F

from passingloop.config.settings import AnyOptim, Task
from passingloop.train.optim import Optimizer, make_optimizer

IGNORED = -100
"""Label of what the loss leaves out: padding, questions, first tokens."""


class Batch(TypedDict):
    """What one forward pass works on; b rows of t tokens."""

    inputs: dict[str, Tensor]
    """Arguments of the model: input_ids (b, t) and attention_mask (b, t) or position_ids (b, t)."""
    labels: Tensor
    """Classes (b,), or for each token its successor or `IGNORED` (b, t)."""
    normalizer: float
    """What the sum of losses is divided by: the count of labels or tokens, or their weight, over the whole step and
    all processes, divided by the number of processes, because DDP averages their gradients."""


class FineTuner(LightningModule):
    """A transformers model, its loss and its optimizer.

    Args:
        model: takes `Batch.inputs`, returns an object with `logits`.
        task: which loss.
        optim: the optimizer's settings.
        bf16: compute matrix products in bf16 (autocast); weights, gradients and loss stay fp32.
        class_weights: weight of each class in the loss, shape (classes,); None weighs all alike.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        model: torch.nn.Module,
        task: Task,
        optim: AnyOptim,
        *,
        bf16: bool = False,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.bf16 = bf16
        self.model = model
        self.task = task
        self.optim = optim
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits in fp32: (b, classes), or (b, t, vocabulary)."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.model(**batch["inputs"], **self._no_cache).logits
        return logits.float()

    def training_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """This micro-batch's share of the step's loss: summed over micro-batches and averaged over processes it is
        the mean over all labels of the step, however they are divided."""
        loss = F.cross_entropy(
            self(batch).flatten(0, -2),
            batch["labels"].flatten(),
            weight=self.class_weights,
            ignore_index=IGNORED,
            reduction="sum",
        )
        return loss / batch["normalizer"]

    def validation_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Tensor]:
        """For the n labels that count: `labels`, what is `predicted`, and unweighted `losses`; each of shape (n,)."""
        logits, labels = self(batch).flatten(0, -2), batch["labels"].flatten()
        counted = labels != IGNORED
        logits, labels = logits[counted], labels[counted]
        losses = F.cross_entropy(logits, labels, reduction="none")
        return {"labels": labels, "predicted": logits.argmax(-1), "losses": losses}

    def configure_optimizers(self) -> Optimizer:
        """That of `optim`, for the parameters that are trained."""
        return make_optimizer(self.optim, self.parameters())

    @property
    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if self.task == "causal_lm" else {}
