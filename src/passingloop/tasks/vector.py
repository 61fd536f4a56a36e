"""The base of tasks whose labels are several numbers per text, compared with as many logits."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from passingloop.tasks.task import LearningTask, Outcome

if TYPE_CHECKING:
    from torch import Tensor


class VectorTask(LearningTask):
    """Labels have the shape of the logits, (b, k). The loss of a text is the mean over its k numbers, as in
    transformers."""

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        """The loss of each number, shape (b, k)."""

    @abstractmethod
    def counts(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Counts for the metrics, which are summed over all batches."""

    @abstractmethod
    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        """Values that the metrics need for each text, shape (b, k)."""

    def ignored_labels(self, labels: Tensor) -> Tensor:
        """NaN, as any number can be a label."""
        import torch

        return torch.full_like(labels, torch.nan)

    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        import torch

        # `where`, not indexing, which would make the CPU wait for the GPU. Ignored logits and labels are set to 0
        # before the loss is computed, because the gradient of a NaN is NaN even when it is multiplied by 0.
        counted = labels.isfinite()
        losses = self.losses(torch.where(counted, logits, 0.0), torch.where(counted, labels, 0.0), statistics)
        return torch.where(counted, losses, 0.0).mean(-1).sum()

    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        counted = labels.isfinite().all(-1)
        logits, labels = logits[counted], labels[counted]
        return Outcome(
            losses=self.losses(logits, labels, statistics).mean(-1),
            counts=self.counts(logits, labels),
            predictions=self.predictions(logits, statistics),
        )
