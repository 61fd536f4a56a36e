"""The one interface behind which a task stands. A new task is a new file with a class of this shape, and its line in
`passingloop.config.settings.TASKS`.

Settings are checked with these classes where runs are submitted, so numpy, pyarrow and torch are imported inside the
functions that compute.
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

Kind = Literal["text", "messages", "label", "labels", "number"]
"""What a column holds: text, a chat, one label (text or a whole number), a list of labels, a number."""

IGNORED = -100
"""Label of what the loss leaves out: padding, questions, first tokens."""


class Examples(Protocol):
    """The examples of one part, from one source or several. `len()` is their number, n."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each example, shape (n,)."""
        ...

    @property
    def targets(self) -> NDArray[np.int32]:
        """What each adds to the loss's normaliser, shape (n,)."""
        ...

    @property
    def labels(self) -> NDArray[Any] | None:
        """Class of each, shape (n,); or numbers, shape (n, t); or the classes of all, one example's after another's,
        where `label_starts` tells them apart. None without labels."""
        ...

    @property
    def label_starts(self) -> NDArray[np.int64] | None:
        """Where the classes of each example begin in `labels`, and where the last ends, shape (n + 1,); None where
        each example has one class, or numbers."""
        ...

    @property
    def sources(self) -> Mapping[str, range]:
        """Of a mix, which examples each of its sources has; else nothing."""
        ...

    def __len__(self) -> int: ...

    def ids(self, example: int) -> NDArray[Any]:
        """Token ids of one example, shape (length,)."""
        ...

    def answers(self, example: int) -> NDArray[Any] | None:
        """Where the loss counts in one example, shape (length,); None means everywhere."""
        ...

    def place(self, example: int) -> tuple[str, str, int]:
        """What an example comes from: the name of a file, query or split, `line` or `row`, and its number there."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """The labels of some rows: names of classes, or numbers."""

    names: Sequence[str] | None = None
    """One for each row; with `counts` all of the first row, then all of the second, and so on."""
    counts: NDArray[Any] | None = None
    """How many names each row has."""
    numbers: NDArray[np.float64] | None = None
    """Shape (rows, t)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What evaluation keeps of one forward pass."""

    losses: Tensor
    """Of the n labels that count, without weights; shape (n,)."""
    counts: Tensor
    """Summed over all forward passes and processes, then given to `LearningTask.metrics`."""
    predictions: Tensor | None = None
    """For each row of the batch what metrics need of it, shape (b, k), where sums are not enough: collected from all
    processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What a part, or one source's share of it, has given."""

    loss: float
    """Sum of the losses."""
    counts: Tensor
    """Sum of all `Outcome.counts`."""
    predictions: NDArray[np.float32] | None
    """All `Outcome.predictions` in the order of the examples, shape (n, k)."""
    tokens: Examples
    examples: range
    """Those of `tokens` that were evaluated."""
    names: Sequence[str]
    """Of the classes or numbers."""
    statistics: Tensor | None = None
    """What the task took from the training data."""


Encoder = Callable[["pa.RecordBatch"], "Encoded"]


class LearningTask(ABC):
    """A task has no state: what it takes from the training data, its `statistics`, is handed to it when needed."""

    label: ClassVar[Kind | None] = "label"
    """What kind of label its examples have, beside a text; None: it has none."""

    default_length: ClassVar[int] = 256
    """Tokens per example at most, unless `data.max_length` says otherwise."""

    auto: ClassVar[str] = "AutoModelForSequenceClassification"
    """The class of transformers that has its head."""

    causal: ClassVar[bool] = False
    """Every token has logits over the vocabulary, which predict the next token: the model must not see it, and several
    examples may stand in one row. PEFT treats the head as the model's own; else as new, and trains all of it."""

    has_class_weights: ClassVar[bool] = False
    """Whether it can weigh classes (`trainer.class_weights`)."""

    fewest_classes: ClassVar[int] = 2
    """If it has classes."""

    def contradictions(self, config: RunConfig) -> Iterator[str]:
        """What in `config` does not go with this task, in sentences."""
        weights = config.trainer.class_weights
        for name, source in named_sources(config.data).items():
            yield from self.contradictions_in(f"data.sources.{name}" if name else "data", source, config)
        if weights != "none" and not self.has_class_weights:
            yield f"You set trainer.class_weights={weights}, but task={config.task} has no classes. Leave it out."

    def contradictions_in(self, key: str, source: DataConfig, config: RunConfig) -> Iterator[str]:
        """The same for one source, whose settings begin with `key`."""
        if self.label is not None and source.chat_column is not None:
            yield (
                f"You set {key}.messages={source.chat_column}, but chats have no labels. Set task=causal_lm, or "
                f"{key}.text."
            )
        if isinstance(source, NamedData) and not isinstance(source.label, str) and self.label != "number":
            yield f"You set {key}.label={list(source.label)}, but only task=regression takes several columns."
        if isinstance(source, NamedData) and source.label_separator is not None and self.label != "labels":
            yield f"You set {key}.label_separator, but only task=multilabel has several labels per text. Leave it out."
        if isinstance(source, NamedData) and source.label_separator == "":
            yield f"{key}.label_separator must not be empty; null stands for columns that hold lists."

    @abstractmethod
    def columns(self, data: NamedData) -> tuple[tuple[Kind, str], ...]:
        """The columns that it needs: of each what it holds, and its name in the data."""

    # Preparing: from rows to tokens and labels.

    def encoder(self, tokenizer: Any, max_length: int) -> Encoder:
        """What makes tokens of rows: unless a task says otherwise, one example of each text, cut at `max_length`."""
        from passingloop.tasks.encoding import text_encoder

        return text_encoder(tokenizer, max_length)

    def label_mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        """Which rows have a label, as truth values; None: all can be used."""
        return None

    def wrong_labels(self, batch: pa.RecordBatch, data: DataConfig) -> Mapping[int, str]:
        """Rows of `batch` whose label cannot be used, by their place in it, and why: "price is 'abc', but …"."""
        return {}

    def labels(self, batch: pa.RecordBatch, data: DataConfig) -> Labels | None:
        """The labels of rows that all have usable ones; None without labels."""
        return None

    def label_text(self, tokens: Examples, example: int, names: Sequence[str]) -> str | None:
        """The label of an example for people; None without labels."""
        return None

    # The model.

    def names(self, config: RunConfig, classes: Sequence[str]) -> Sequence[str]:
        """Names of what the head gives: `classes`, those that occur in the data, unless a task says otherwise."""
        return classes

    def head(self, names: Sequence[str]) -> dict[str, Any]:
        """What transformers' configuration of the model says of the head."""
        return {}

    def description(self, names: Sequence[str]) -> str:
        """What a run's header says of the labels, such as "3 classes"; may be empty."""
        return ""

    # Training.

    def statistics(
        self, config: RunConfig, model: torch.nn.Module, train: Examples, names: Sequence[str]
    ) -> Tensor | None:
        """What loss and metrics need to know of the training data, such as the weights of classes."""
        return None

    def normalizer(self, tokens: Examples, examples: NDArray[Any], statistics: Tensor | None) -> float:
        """What the losses of `examples` are divided by: the count of their targets."""
        import numpy as np

        return float(tokens.targets[examples].sum(dtype=np.int64))

    @abstractmethod
    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """The labels of a batch, to which `loss` compares logits.

        Args:
            rows: the examples in each row of the batch: one, or several if it is packed.
            width: tokens in a row, padding included.
            classes: the number of names that the head has.
        """

    def ignored(self, labels: Tensor) -> Tensor:
        """`labels` of the same shape, none of which counts."""
        import torch

        return torch.full_like(labels, IGNORED)

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        """The sum of the losses over all labels of a batch."""

    @abstractmethod
    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        """What evaluation keeps of a batch."""

    @abstractmethod
    def metrics(self, evaluated: Evaluated) -> dict[str, float]:
        """`loss`, per label, and what else tells how good the model is."""

    def finish(self, model: Any, statistics: Tensor | None) -> None:  # noqa: B027  # most have nothing to do
        """Make of a trained `model`, in place, one that needs no `statistics`: it is exported then."""


@cache
def learning_task(name: Task) -> LearningTask:
    """The task behind `task=name`. Its file is imported when it is chosen."""
    task: LearningTask = load_class(TASKS[name])()
    return task
