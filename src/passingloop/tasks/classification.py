"""`task=classification`: one label per text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from passingloop.config.data import DataConfig, NamedData
from passingloop.config.settings import RunConfig
from passingloop.tasks.task import IGNORED, ColumnKind, Evaluation, Examples, Labels, LearningTask, Outcome

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class Classification(LearningTask):
    """Loss: cross-entropy over the classes of the training data. Metrics: accuracy and macro-F1."""

    has_class_weights = True

    def columns(self, data: NamedData) -> tuple[tuple[ColumnKind, str], ...]:
        return ("text", data.text), ("label", str(data.label))

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        from passingloop.tasks.encoding import nonempty_mask

        return nonempty_mask(batch.column("label"))

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        return Labels(names=batch.column("label").to_pylist())

    def label_text(self, tokens: Examples, example: int, names: Sequence[str]) -> str | None:
        assert tokens.labels is not None
        return names[int(tokens.labels[example])]

    def head(self, names: Sequence[str]) -> dict[str, Any]:
        return class_names(names) | {"problem_type": "single_label_classification"}

    def description(self, names: Sequence[str]) -> str:
        return f"{len(names)} classes"

    def statistics(
        self, config: RunConfig, model: torch.nn.Module, train: Examples, names: Sequence[str]
    ) -> Tensor | None:
        """The weights of the classes, shape (classes,): examples / (classes × examples of the class).

        Their mean over all examples is 1. None without `trainer.class_weights`.
        """
        import torch

        if config.trainer.class_weights == "none":
            return None
        assert train.labels is not None
        labels = torch.from_numpy(train.labels.astype("int64"))
        counts = torch.bincount(labels, minlength=len(names)).clamp(min=1)
        return len(labels) / (len(counts) * counts.float())

    def normalizer(self, tokens: Examples, examples: NDArray[Any], statistics: Tensor | None) -> float:
        """The number of labels, or the sum of the weights of their classes."""
        import torch

        if statistics is None:
            return super().normalizer(tokens, examples, statistics)
        assert tokens.labels is not None
        return float(statistics[torch.from_numpy(tokens.labels[examples].astype("int64"))].sum())

    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """Classes, shape (b,)."""
        import torch

        assert tokens.labels is not None
        return torch.from_numpy(tokens.labels[[row[0] for row in rows]].astype("int64"))

    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        from torch.nn import functional as F

        return F.cross_entropy(logits, labels, weight=statistics, ignore_index=IGNORED, reduction="sum")

    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        import torch
        from torch.nn import functional as F

        # Masks, not indexing by them, nor `bincount`: both would make the CPU wait for the GPU.
        classes = torch.arange(logits.shape[-1], device=labels.device)
        is_label = labels[:, None] == classes
        is_predicted = (logits.argmax(-1)[:, None] == classes) & (labels != IGNORED)[:, None]
        counts = torch.stack([group.sum(0) for group in (is_label & is_predicted, is_predicted, is_label)])
        losses = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
        return Outcome(losses=losses, counts=counts)

    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        counts = evaluation.counts
        loss = evaluation.loss / max(1, int(counts[2].sum()))
        return {"loss": loss, "accuracy": accuracy(counts), "macro_f1": macro_f1(counts)}


def class_names(names: Sequence[str]) -> dict[str, Any]:
    """The settings of a head with these classes in transformers' configuration. A pretrained head of another size is
    replaced by a new one."""
    numbered = dict(enumerate(names))
    numbers = {name: number for number, name in numbered.items()}
    return {"num_labels": len(names), "id2label": numbered, "label2id": numbers, "ignore_mismatched_sizes": True}


def accuracy(counts: Tensor) -> float:
    """The share of labels that were predicted. `counts`, shape (3, classes): true positives, predictions, labels."""
    return int(counts[0].sum()) / int(counts[2].sum())


def macro_f1(counts: Tensor) -> float:
    """The mean of F1 = 2 TP / (predictions + labels) over the classes that occur as label or prediction.

    `counts` as in `accuracy`.
    """
    hits, predictions, labels = counts.double()
    occurs = predictions + labels > 0
    return float((2 * hits[occurs] / (predictions + labels)[occurs]).mean())
