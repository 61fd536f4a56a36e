"""`task=regression`: one or several numbers per text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from passingloop.config.data import DataConfig, NamedData, named_sources
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.tasks.classification import class_names
from passingloop.tasks.task import ColumnKind, Evaluation, Examples, Labels
from passingloop.tasks.vector import VectorTask

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class Regression(VectorTask):
    """Loss: mean squared error. Metrics: MAE, RMSE, Pearson's and Spearman's correlation.

    The model learns standardised numbers, (number - mean) / deviation with those of the training data, because with
    usual learning rates the head would not reach, for example, a price of 300,000. After training, mean and deviation
    are put into the weights of the head, so that the exported model predicts the original numbers.
    """

    label = "number"

    def source_contradictions(self, key: str, source: DataConfig, config: RunConfig) -> Iterator[str]:
        yield from super().source_contradictions(key, source, config)
        if not source.HAS_COLUMNS:
            yield f"You set task=regression, but {key}={source.source} has no numbers. Set data=files, or another."
        elif source.label_columns and len(source.label_columns) != len(self.names(config, ())):
            yield (
                f"You set {key}.label=[{','.join(source.label_columns)}], but another source has "
                f"{len(self.names(config, ()))} columns of numbers. Name as many for each source."
            )
        elif not source.label_columns:
            yield f"{key}.label must name one or several columns of numbers (task=regression)."

    def columns(self, data: NamedData) -> tuple[tuple[ColumnKind, str], ...]:
        return ("text", data.text), *(("number", name) for name in data.label_columns)

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        import functools

        import pyarrow.compute as pc

        from passingloop.tasks.encoding import nonempty_mask

        return functools.reduce(pc.and_, map(nonempty_mask, _number_columns(batch)))

    def wrong_labels(self, batch: pa.RecordBatch, data: DataConfig) -> Mapping[int, str]:
        import numpy as np

        faults: dict[int, str] = {}
        for name, texts in zip(data.label_columns, _number_columns(batch), strict=True):
            for place in np.flatnonzero(np.isnan(_parse_numbers(texts))).tolist():
                faults.setdefault(
                    place, f"{name} (data.label={name}) is {texts[place].as_py()!r}, but must be a number"
                )
        return dict(sorted(faults.items()))

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        import numpy as np

        return Labels(numbers=np.stack([_parse_numbers(texts) for texts in _number_columns(batch)], axis=1))

    def label_text(self, tokens: Examples, example: int, names: Sequence[str]) -> str | None:
        assert tokens.labels is not None
        return ", ".join(f"{number:g}" for number in tokens.labels[example])

    def names(self, config: RunConfig, classes: Sequence[str]) -> Sequence[str]:
        """The names of the columns of numbers in the first source."""
        return next((data.label_columns for data in named_sources(config.data).values() if data.label_columns), ())

    def head(self, names: Sequence[str]) -> dict[str, Any]:
        return class_names(names) | {"problem_type": "regression"}

    def description(self, names: Sequence[str]) -> str:
        return f"numbers {', '.join(names)}" if len(names) > 1 else f"number {names[0]}"

    def statistics(
        self, config: RunConfig, model: torch.nn.Module, train: Examples, names: Sequence[str]
    ) -> Tensor | None:
        """Mean and standard deviation of each number, shape (2, k), float64.

        Raises:
            ConfigError: the head of the model is not a linear layer, into which they can be put.
        """
        import numpy as np
        import torch

        head = _linear_head(model, len(names))
        if head is None:
            raise ConfigError(
                f"You set task=regression, but the head of {config.model.path} is no linear layer. Choose another."
            )
        assert train.labels is not None
        # A head without bias cannot add the mean, so numbers are only divided by their root mean square.
        mean = train.labels.mean(0) if head.bias is not None else np.zeros(len(names))
        deviation = np.sqrt(np.square(train.labels - mean).mean(0))
        return torch.from_numpy(np.stack([mean, np.where(deviation > 0, deviation, 1.0)]))

    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """Numbers, shape (b, k), float64, because float32 cannot represent a date in seconds."""
        import numpy as np
        import torch

        assert tokens.labels is not None
        return torch.from_numpy(np.array(tokens.labels[[row[0] for row in rows]]))

    def losses(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        from torch.nn import functional as F

        assert statistics is not None
        mean, deviation = statistics
        return F.mse_loss(logits, ((labels - mean) / deviation).float(), reduction="none")

    def counts(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        return counted.sum()[None]

    def predictions(self, logits: Tensor, statistics: Tensor | None) -> Tensor:
        assert statistics is not None
        mean, deviation = statistics
        numbers: Tensor = logits.double() * deviation + mean
        return numbers

    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        """The means of the metrics over the numbers; for several numbers also those of each, such as ``price/mae``.

        The loss is that of the standardised numbers; the other metrics are in the units of the data.
        """
        part = slice(evaluation.examples.start, evaluation.examples.stop)
        assert evaluation.tokens.labels is not None
        assert evaluation.predictions is not None
        labels = evaluation.tokens.labels[part]
        pairs = zip(labels.T, evaluation.predictions.T, strict=True)
        scores_by_name = {name: regression_scores(*pair) for name, pair in zip(evaluation.names, pairs, strict=True)}
        values = {"loss": evaluation.loss / max(1, int(evaluation.counts))}
        for metric in ("mae", "rmse", "pearson", "spearman"):
            values[metric] = math.fsum(metrics[metric] for metrics in scores_by_name.values()) / len(scores_by_name)
        for name, metrics in scores_by_name.items() if len(scores_by_name) > 1 else ():
            values |= {f"{name}/{metric}": value for metric, value in metrics.items()}
        return values

    def start(self, model: Any, statistics: Tensor | None, kept: Sequence[bool]) -> None:
        """Change the head from w h + b to (w h + b - mean) / deviation, for the numbers that the checkpoint predicts:
        it predicts original numbers."""
        import torch

        if not any(kept):
            return
        assert statistics is not None
        mean, deviation = statistics
        chosen = torch.tensor(kept)
        _scale_head(model, torch.where(chosen, 1 / deviation, 1.0), torch.where(chosen, -mean / deviation, 0.0))

    def finish(self, model: Any, statistics: Tensor | None) -> None:
        """Change the head from w h + b to (w h + b) deviation + mean."""
        assert statistics is not None
        mean, deviation = statistics.cpu()
        _scale_head(model, deviation, mean)


def regression_scores(labels: NDArray[np.float64], predictions: NDArray[Any]) -> dict[str, float]:
    """MAE, RMSE, Pearson's and Spearman's correlation; both arguments have shape (n,).

    A correlation is 0 if the labels or the predictions are constant.
    """
    import numpy as np

    errors = predictions - labels
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "pearson": _correlation(labels, predictions),
        "spearman": _correlation(_ranks(labels), _ranks(predictions)),
    }


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    import numpy as np

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.clip(first @ second / norms, -1.0, 1.0)) if norms > 0 else 0.0


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """The ranks of the values from 1; equal values get the mean of their ranks."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _number_columns(batch: pa.RecordBatch) -> list[pa.Array]:
    return [batch.column(name) for name in batch.schema.names if name.startswith("number")]


def _parse_numbers(texts: pa.Array) -> NDArray[np.float64]:
    """The numbers in `texts`; NaN for a text that is not a finite number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts)
    try:
        numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        numbers = np.array([_parse_number(text) for text in texts.to_pylist()])
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _parse_number(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _scale_head(model: Any, scale: Tensor, offset: Tensor) -> None:
    """Change the head from w h + b to (w h + b) scale + offset, as far as it has a bias."""
    import torch

    head = _linear_head(model, len(scale))
    assert head is not None
    with torch.no_grad():
        weight, scale = head.weight, scale.to(head.weight.device)
        weight.copy_(weight.double() * scale[:, None])
        if head.bias is not None:
            head.bias.copy_(head.bias.double() * scale + offset.to(scale.device))


def _linear_head(model: Any, size: int) -> torch.nn.Linear | None:
    """The linear layer that gives the numbers: the last one of this size, as PEFT's trained copy follows the
    original."""
    import torch

    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer.out_features == size]
    return layers[-1] if layers else None
