"""What tasks have in common that compare several numbers of a text with as many logits."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from passingloop.tasks.task import LearningTask, Outcome

if TYPE_CHECKING:
    from torch import Tensor


class VectorTask(LearningTask):
    """Labels have the shape of logits, (b, k). The loss of a text is the mean over its k numbers, so that a step's is
    that over all of them, as in transformers."""

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        """The loss of each number, shape (b, k)."""

    @abstractmethod
    def counts(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What is summed over all batches, for the metrics."""

    @abstractmethod
    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        """What metrics need of each text, shape (b, k)."""

    def ignored(self, labels: Tensor) -> Tensor:
        """Not a number: any number could be a label."""
        import torch

        return torch.full_like(labels, torch.nan)

    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        import torch

        # Chosen by `where`, not by an index, which would make the CPU wait for a GPU. What does not count is zero on
        # both sides, as the gradient of NaN is NaN, also times zero.
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
