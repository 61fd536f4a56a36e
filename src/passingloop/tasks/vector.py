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
    def counts(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """Counts for the metrics, which are summed over all batches.

        Args:
            counted: whether a text counts, shape (b,). The labels of one that does not are 0.
        """

    @abstractmethod
    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        """Values that the metrics need for each text, shape (b, k)."""

    def ignored_labels(self, labels: Tensor) -> Tensor:
        """NaN, as any number can be a label."""
        import torch

        return torch.full_like(labels, torch.nan)

    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        import torch

        counted = labels.isfinite()
        losses = self.losses(*_without(~counted, logits, labels), statistics)
        return torch.where(counted, losses, 0.0).mean(-1).sum()

    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        import torch

        counted = labels.isfinite().all(-1)
        logits, labels = _without(~counted[:, None], logits, labels)
        return Outcome(
            losses=torch.where(counted, self.losses(logits, labels, statistics).mean(-1), 0.0),
            counts=self.counts(logits, labels, counted),
            predictions=self.predictions(logits, statistics),
        )


def _without(ignored: Tensor, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Both with 0 for what is `ignored`, before a loss is computed: the gradient of a NaN is NaN, also times 0.

    Indexing would make the CPU wait for the GPU.
    """
    return logits.masked_fill(ignored, 0.0), labels.masked_fill(ignored, 0.0)
