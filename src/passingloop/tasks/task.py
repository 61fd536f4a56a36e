"""The interface of a learning task. A new task is a file with a subclass, and a line in
`passingloop.config.settings.TASKS`.

These classes also check settings on the login node, so numpy, pyarrow and torch are imported inside functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from passingloop.config.build import load_class
from passingloop.config.data import DataConfig, NamedData, named_sources
from passingloop.config.settings import TASKS, RunConfig, Task

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from passingloop.tasks.encoding import Encoded

ColumnKind = Literal["text", "messages", "label", "labels", "number"]
"""The content of a column: a text, a chat, a label (text or integer), a list of labels, or a number."""

IGNORED = -100
"""The label of tokens that the loss does not count: padding, questions, first tokens."""


class Examples(Protocol):
    """The examples of one part, from one or several sources. `len()` is their number, n."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each example, shape (n,)."""
        ...

    @property
    def targets(self) -> NDArray[np.int32]:
        """What each example adds to the normalizer of the loss, shape (n,)."""
        ...

    @property
    def labels(self) -> NDArray[Any] | None:
        """The class of each example, shape (n,); or numbers, shape (n, t); or, with `label_starts`, the classes of all
        examples, one after another. None without labels."""
        ...

    @property
    def label_starts(self) -> NDArray[np.int64] | None:
        """The offset in `labels` of each example's classes, and the end of the last, shape (n + 1,); None if each
        example has one class, or numbers."""
        ...

    @property
    def sources(self) -> Mapping[str, range]:
        """The examples of each source of a mix; empty for a single source."""
        ...

    def __len__(self) -> int: ...

    def ids(self, example: int) -> NDArray[Any]:
        """Token ids of one example, shape (length,)."""
        ...

    def answers(self, example: int) -> NDArray[Any] | None:
        """For each token of an example 1 if the loss counts it, else 0, shape (length,); None: all count."""
        ...

    def place(self, example: int) -> tuple[str, str, int]:
        """The place of an example: the name of a file, query or split, the unit (`line` or `row`), and its number."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The labels of rows: names of classes, or numbers."""

    names: Sequence[str] | None = None
    """The name of each row's class; with `counts` the names of the first row, then those of the second, and so on."""
    counts: NDArray[Any] | None = None
    """The number of names of each row."""
    numbers: NDArray[np.float64] | None = None
    """Shape (rows, t)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one forward pass in evaluation."""

    losses: Tensor
    """The losses of the n labels, without class weights, and 0 for those that do not count; shape (n,)."""
    counts: Tensor
    """Counts for the metrics, which are summed over all forward passes and processes."""
    predictions: Tensor | None = None
    """For metrics that need more than sums: values for each row of the batch, shape (b, k). They are collected from all
    processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The result of the evaluation of a part, or of one source's examples in it."""

    loss: float
    """The sum of the losses."""
    counts: Tensor
    """The sum of `Outcome.counts`."""
    predictions: NDArray[np.float32] | None
    """All `Outcome.predictions` in the order of the examples, shape (n, k)."""
    tokens: Examples
    examples: range
    """The examples of `tokens` that were evaluated."""
    names: Sequence[str]
    """The names of the classes or numbers."""
    statistics: Tensor | None = None
    """The result of `LearningTask.statistics`."""


Encoder = Callable[["pa.RecordBatch"], "Encoded"]


class LearningTask(ABC):
    """A learning task. It has no state: its `statistics` of the training data are passed to the methods that need
    them."""

    label: ClassVar[ColumnKind | None] = "label"
    """The kind of label of its examples; None: no label."""

    default_length: ClassVar[int] = 256
    """The maximum tokens per example, if `data.max_length` is null."""

    auto: ClassVar[str] = "AutoModelForSequenceClassification"
    """The auto class of transformers with its head."""

    causal: ClassVar[bool] = False
    """Whether every token has logits over the vocabulary that predict the next token. Then attention must be causal,
    several examples may be packed into a row, and the head is pretrained. Otherwise the head is new, and is trained as
    a whole also with LoRA."""

    has_class_weights: ClassVar[bool] = False
    """Whether it supports `trainer.class_weights`."""

    fewest_classes: ClassVar[int] = 2
    """The least number of classes, for a task with classes."""

    def contradictions(self, config: RunConfig) -> Iterator[str]:
        """A sentence for each setting in `config` that does not fit the task."""
        weights = config.trainer.class_weights
        for name, source in named_sources(config.data).items():
            yield from self.source_contradictions(f"data.sources.{name}" if name else "data", source, config)
        if weights != "none" and not self.has_class_weights:
            yield f"You set trainer.class_weights={weights}, but task={config.task} has no classes. Leave it out."

    def source_contradictions(self, key: str, source: DataConfig, config: RunConfig) -> Iterator[str]:
        """A sentence for each setting of one source that does not fit the task; its keys begin with `key`."""
        if self.label is not None and source.chat_column is not None:
            yield (
                f"You set {key}.messages={source.chat_column}, but chats have no labels. Set task=causal_lm, or "
                f"{key}.text."
            )
        columns = source.label_columns
        if len(columns) != 1 and self.label != "number" and source.HAS_COLUMNS:
            yield f"You set {key}.label=[{','.join(columns)}], but task={config.task} takes one column."
        if len(set(columns)) < len(columns):
            yield f"You set {key}.label=[{','.join(columns)}], which names a column twice. Name each once."
        if source.separator is not None and self.label != "labels":
            yield f"You set {key}.label_separator, but task={config.task} has one label per text. Leave it out."
        if source.separator == "":
            yield f"{key}.label_separator must not be empty; null stands for columns that hold lists."

    @abstractmethod
    def columns(self, data: NamedData) -> tuple[tuple[ColumnKind, str], ...]:
        """The columns that the task needs: the kind of each, and its name in the data."""

    # Preparing: from rows to tokens and labels.

    def encoder(self, tokenizer: Any, max_length: int) -> Encoder:
        """The encoder of rows as tokens. By default one example for each text, cut at `max_length` tokens."""
        from passingloop.tasks.encoding import text_encoder

        return text_encoder(tokenizer, max_length)

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        """A boolean mask of the rows that have a label; None: all have."""
        return None

    def wrong_labels(self, batch: pa.RecordBatch, data: DataConfig) -> Mapping[int, str]:
        """Why labels of `batch` cannot be used, such as "price is 'abc', but …", by their index in the batch."""
        return {}

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        """The labels of rows with usable labels; None for a task without labels."""
        return None

    def label_text(self, tokens: Examples, example: int, names: Sequence[str]) -> str | None:
        """The label of an example as text, for reports; None for a task without labels."""
        return None

    # The model.

    def names(self, config: RunConfig, classes: Sequence[str]) -> Sequence[str]:
        """The names of the head's outputs. By default `classes`, the classes in the data."""
        return classes

    def head(self, names: Sequence[str]) -> dict[str, Any]:
        """Settings of the head for transformers' configuration of the model."""
        return {}

    def description(self, names: Sequence[str]) -> str:
        """A description of the labels for the run's header, such as "3 classes"; may be empty."""
        return ""

    # Training.

    def statistics(
        self, config: RunConfig, model: torch.nn.Module, train: Examples, names: Sequence[str]
    ) -> Tensor | None:
        """Statistics of the training data that loss and metrics need, such as class weights; None: they need none."""
        return None

    def normalizer(self, tokens: Examples, examples: NDArray[Any], statistics: Tensor | None) -> float:
        """The number by which the sum of the losses of `examples` is divided. By default the sum of their targets."""
        import numpy as np

        return float(tokens.targets[examples].sum(dtype=np.int64))

    @abstractmethod
    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """The labels of a batch, for `loss`.

        Args:
            rows: the examples in each row of the batch; several if rows are packed.
            width: tokens per row, with padding.
            classes: the number of the head's outputs.
        """

    def ignored_labels(self, labels: Tensor) -> Tensor:
        """Labels of the same shape and type that the loss does not count."""
        import torch

        return torch.full_like(labels, IGNORED)

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        """The sum of the losses over the labels of a batch, a scalar."""

    @abstractmethod
    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        """The result of a batch in evaluation."""

    @abstractmethod
    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        """The metrics by name: `loss`, the mean per label, and others."""

    def start(self, model: Any, statistics: Tensor | None, kept: Sequence[bool]) -> None:  # noqa: B027  # as `finish`
        """Change the `model` in place before its training, so that its outputs are what the loss compares with.

        Args:
            kept: for each output whether the checkpoint had it, and so in the units of the data.
        """

    def finish(self, model: Any, statistics: Tensor | None) -> None:  # noqa: B027  # most have nothing to do
        """Change the trained `model` in place before its export, so that it does not need `statistics`."""


@cache
def learning_task(name: Task) -> LearningTask:
    """The task of `task=name`. Its module is imported only if it is chosen."""
    task: LearningTask = load_class(TASKS[name])()
    return task
