"""`task=causal_lm`: predict the next token, in texts or in the answers of chats."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from passingloop.config.data import NamedData
from passingloop.tasks.task import IGNORED, ColumnKind, Encoder, Evaluation, Examples, LearningTask, Outcome

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from passingloop.tasks.encoding import Encoded


class CausalLM(LearningTask):
    """Loss: cross-entropy over the vocabulary, per token. Metric: perplexity."""

    label = None
    default_length = 1024
    auto = "AutoModelForCausalLM"
    causal = True

    def columns(self, data: NamedData) -> tuple[tuple[ColumnKind, str], ...]:
        return (("text", data.text) if data.messages is None else ("messages", data.messages),)

    def encoder(self, tokenizer: Any, max_length: int) -> Encoder:
        """Encodes long texts as several examples. Chats are cut, and the loss counts the assistant's answers only."""
        from passingloop.tasks.encoding import chat_encoder, encode_windows

        encode_chats = functools.cache(lambda: chat_encoder(tokenizer, max_length))  # needs a chat template

        def encode(batch: pa.RecordBatch) -> Encoded:
            chats = "messages" in batch.schema.names
            return encode_chats()(batch) if chats else encode_windows(batch, tokenizer, max_length)

        return encode

    def batch_labels(self, tokens: Examples, rows: Sequence[Sequence[int]], width: int, classes: int) -> Tensor:
        """For each token the next one, or `IGNORED` where the loss does not count, shape (b, t)."""
        import numpy as np
        import torch

        labels = np.full((len(rows), width), IGNORED, np.int64)
        for line, row in enumerate(rows):
            start = 0
            for example in row:
                end = start + int(tokens.lengths[example])
                labels[line, start : end - 1] = _successors(tokens, example)
                start = end
        return torch.from_numpy(labels)

    def loss(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Tensor:
        from torch.nn import functional as F

        return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum")

    def outcome(self, logits: Tensor, labels: Tensor, statistics: Tensor | None) -> Outcome:
        from torch.nn import functional as F

        losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="none")
        return Outcome(losses=losses, counts=(labels != IGNORED).sum()[None])

    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        loss = evaluation.loss / max(1, int(evaluation.counts))
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def _successors(tokens: Examples, example: int) -> NDArray[Any]:
    """For each token but the last the next one, or `IGNORED` where the loss does not count, shape (length - 1,)."""
    import numpy as np

    following = tokens.ids(example)[1:].astype(np.int64)
    answers = tokens.answers(example)
    return following if answers is None else np.where(answers[1:] == 1, following, IGNORED)
