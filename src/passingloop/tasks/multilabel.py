"""`task=multilabel`: any number of labels per text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from passingloop.config.data import DataConfig, NamedData
from passingloop.config.settings import RunConfig
from passingloop.errors import DataError
from passingloop.tasks.classification import class_names, macro_f1
from passingloop.tasks.task import Evaluated, Examples, Kind, Labels
from passingloop.tasks.vector import VectorTask

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor


class Multilabel(VectorTask):
    """Binary cross-entropy for each of the labels that the training data have; micro- and macro-F1 of the labels with
    a probability above 1/2, and mean average precision."""

    label = "labels"
    fewest_classes = 1

    def contradictions_in(self, key: str, source: DataConfig, config: RunConfig) -> Iterator[str]:
        yield from super().contradictions_in(key, source, config)
        if not isinstance(source, NamedData):
            yield f"You set task=multilabel, but {key}={source.source} has one label per text. Set data=files, say."

    def columns(self, data: NamedData) -> tuple[tuple[Kind, str], ...]:
        """With `data.label_separator` the labels are text, which is taken apart here."""
        return ("text", data.text), ("labels" if data.label_separator is None else "label", str(data.label))

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        """No label is a label: an empty list, an empty text. Null is missing."""
        import pyarrow.compute as pc

        return pc.is_valid(batch.column(2))

    def wrong_labels(self, batch: pa.RecordBatch, data: DataConfig) -> Mapping[int, str]:
        assert isinstance(data, NamedData)
        if data.label_separator is not None:
            return {}
        lists = batch.column(2).to_pylist()
        return {
            place: f"{data.label} (data.label={data.label}) is {listed}, but must hold labels that are not empty"
            for place, listed in enumerate(lists)
            if any(label is None or not label.strip() for label in listed)
        }

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        import numpy as np

        assert isinstance(data, NamedData)
        values, separator = batch.column(2).to_pylist(), data.label_separator
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
        """1 for each label of a text, else 0, shape (b, classes)."""
        import numpy as np
        import torch

        labels = np.zeros((len(rows), classes), np.float32)
        for line, row in enumerate(rows):
            labels[line, _labels_of(tokens, row[0])] = 1.0
        return torch.from_numpy(labels)

    def losses(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        from torch.nn import functional as F

        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")

    def counts(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Per label the true positives, predictions and labels, shape (3, classes), and the texts in a fourth row."""
        import torch

        predicted = (logits > 0).long()
        texts = torch.full_like(labels, 1.0)
        return torch.stack([each.long().sum(0) for each in (predicted * labels, predicted, labels, texts)])

    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        return logits

    def metrics(self, evaluated: Evaluated) -> dict[str, float]:
        import numpy as np

        counts, scores = evaluated.counts[:3], evaluated.predictions
        assert scores is not None
        labels = np.zeros(scores.shape, bool)
        for place, example in enumerate(evaluated.examples):
            labels[place, _labels_of(evaluated.tokens, example)] = True
        return {
            "loss": evaluated.loss / max(1, int(evaluated.counts[3, 0])),
            "micro_f1": 2 * int(counts[0].sum()) / max(1, int(counts[1:].sum())),
            "macro_f1": macro_f1(counts) if int(counts[1:].sum()) else 0.0,
            "mean_average_precision": mean_average_precision(labels, scores),
        }


def mean_average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Mean over the labels that occur of their average precision; both of shape (n, classes).

    Average precision is the sum over the thresholds of (R_k - R_{k-1}) P_k, as in scikit-learn.
    """
    import numpy as np

    occurring = np.flatnonzero(labels.any(0))
    each = [_average_precision(labels[:, label], scores[:, label]) for label in occurring]
    return float(np.mean(each)) if each else 0.0


def _average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores are one threshold
    hits = np.cumsum(labels)[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def _labels_of(tokens: Examples, example: int) -> NDArray[Any]:
    """The numbers of the classes that an example has."""
    assert tokens.labels is not None
    assert tokens.label_starts is not None
    classes: NDArray[Any] = tokens.labels[tokens.label_starts[example] : tokens.label_starts[example + 1]]
    return classes
