"""`task=multilabel`: any number of labels per text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from passingloop.config.data import DataConfig, NamedData
from passingloop.config.settings import RunConfig
from passingloop.errors import DataError
from passingloop.tasks.classification import class_names, macro_f1
from passingloop.tasks.task import ColumnKind, Evaluation, Examples, Labels
from passingloop.tasks.vector import VectorTask

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor


class Multilabel(VectorTask):
    """Loss: binary cross-entropy for each label of the training data. Metrics: micro-F1 and macro-F1 of the labels with
    a probability over 1/2, and mean average precision."""

    label = "labels"
    fewest_classes = 1

    def source_contradictions(self, key: str, source: DataConfig, config: RunConfig) -> Iterator[str]:
        yield from super().source_contradictions(key, source, config)
        if not source.HAS_COLUMNS:
            yield f"You set task=multilabel, but {key}={source.source} has one label per text. Set data=files, say."

    def columns(self, data: NamedData) -> tuple[tuple[ColumnKind, str], ...]:
        """With `data.label_separator` the labels are one text, which `labels` splits."""
        return ("text", data.text), ("labels" if data.label_separator is None else "label", str(data.label))

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        """An empty list or text is valid, and means no label. Null is a missing label."""
        import pyarrow.compute as pc

        return pc.is_valid(batch.column(2))

    def wrong_labels(self, batch: pa.RecordBatch, data: DataConfig) -> Mapping[int, str]:
        if data.separator is not None:
            return {}
        [column] = data.label_columns
        lists = batch.column(2).to_pylist()
        return {
            place: f"{column} (data.label={column}) is {listed}, but must hold labels that are not empty"
            for place, listed in enumerate(lists)
            if any(label is None or not label.strip() for label in listed)
        }

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        import numpy as np

        values, separator = batch.column(2).to_pylist(), data.separator
        if separator is not None:
            values = [filter(None, map(str.strip, text.split(separator))) for text in values]
        distinct = [list(dict.fromkeys(labels)) for labels in values]
        return Labels(
            names=[label for labels in distinct for label in labels],
            counts=np.array([len(labels) for labels in distinct], np.int32),
        )

    def label_text(self, tokens: Examples, example: int, names: Sequence[str]) -> str | None:
        return ", ".join(names[label] for label in _labels_of(tokens, example)) or "no label"

    def names(self, config: RunConfig, classes: Sequence[str]) -> Sequence[str]:
        """
        Raises:
            DataError: there is none.
        """
        if not classes:
            raise DataError(
                "No text of the training data has a label (task=multilabel). Is data.label the right column?"
            )
        return classes

    def head(self, names: Sequence[str]) -> dict[str, Any]:
        return class_names(names) | {"problem_type": "multi_label_classification"}

    def description(self, names: Sequence[str]) -> str:
        return f"{len(names)} labels"

    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """For each text 1 for its labels, else 0, shape (b, classes)."""
        import numpy as np
        import torch

        labels = np.zeros((len(rows), classes), np.float32)
        for line, row in enumerate(rows):
            labels[line, _labels_of(tokens, row[0])] = 1.0
        return torch.from_numpy(labels)

    def losses(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        from torch.nn import functional as F

        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")

    def counts(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """For each class true positives, predictions, labels and texts, shape (4, classes)."""
        import torch

        texts = counted[:, None].expand(logits.shape).long()
        predicted = (logits > 0).long()
        return torch.stack([group.long().sum(0) for group in (predicted * labels, predicted, labels, texts)])

    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        return logits

    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        import numpy as np

        counts, scores = evaluation.counts[:3], evaluation.predictions
        assert scores is not None
        labels = np.zeros(scores.shape, bool)
        for place, example in enumerate(evaluation.examples):
            labels[place, _labels_of(evaluation.tokens, example)] = True
        return {
            "loss": evaluation.loss / max(1, int(evaluation.counts[3, 0])),
            "micro_f1": 2 * int(counts[0].sum()) / max(1, int(counts[1:].sum())),
            "macro_f1": macro_f1(counts) if int(counts[1:].sum()) else 0.0,
            "mean_average_precision": mean_average_precision(labels, scores),
        }


def mean_average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """The mean of average precision over the labels that occur; both arguments have shape (n, classes).

    Average precision is the sum of (R_k - R_{k-1}) P_k over the thresholds k, as in scikit-learn.
    """
    import numpy as np

    occurring_labels = np.flatnonzero(labels.any(0))
    precisions = [_average_precision(labels[:, label], scores[:, label]) for label in occurring_labels]
    return float(np.mean(precisions)) if precisions else 0.0


def _average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    threshold_ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores are one threshold
    hits = np.cumsum(labels)[threshold_ends]
    return float((np.diff(hits, prepend=0) * hits / (threshold_ends + 1)).sum() / hits[-1])


def _labels_of(tokens: Examples, example: int) -> NDArray[Any]:
    """The numbers of the classes of an example."""
    assert tokens.labels is not None
    assert tokens.label_starts is not None
    classes: NDArray[Any] = tokens.labels[tokens.label_starts[example] : tokens.label_starts[example + 1]]
    return classes
