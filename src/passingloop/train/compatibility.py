"""Whether a model, its tokenizer and the texts fit each other: found before training, and said in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from passingloop.config.data import Part
from passingloop.config.settings import RunConfig
from passingloop.data.rows.places import describe_places
from passingloop.errors import ConfigError, DataError
from passingloop.model.attention import Side, padding_side, text_logits
from passingloop.tasks.task import Examples

if TYPE_CHECKING:
    from passingloop.train.module import FineTuner  # brings lightning, which `passingloop prepare` does without

Parts = Mapping[Part, Examples]

FAILURES = (RuntimeError, ValueError, IndexError, TypeError)
"""What models raise for texts that they cannot compute, or for arguments that they do not have."""


def check_texts(parts: Parts, model: str) -> None:
    """
    Raises:
        DataError: a text has no token.
    """
    for part, tokens in parts.items():
        empty = np.flatnonzero(np.asarray(tokens.lengths) == 0)
        if len(empty):
            places = describe_places(tokens.place(int(example)) for example in empty)
            raise DataError(
                f"The tokenizer of {model} makes no token of {len(empty)} texts of the {part} data, which hold only "
                f"characters that it leaves out: {places}. Take these rows out, or choose another model."
            )


def check_vocabulary(config: RunConfig, tokenizer: Any, parts: Parts, rows: int) -> None:
    """
    Args:
        rows: the number of tokens that have an embedding.

    Raises:
        ConfigError: the tokenizer pads with a token that has no embedding.
        DataError: there are such tokens in the data.
    """
    if max(tokenizer.get_vocab().values(), default=0) < rows:
        return
    remedy = f"The embedding of {config.model.path} has {rows} tokens. Resize it to its tokenizer, and save both."
    if tokenizer.pad_token_id >= rows:
        raise ConfigError(
            f"The tokenizer pads with {tokenizer.pad_token}, the token {tokenizer.pad_token_id}. {remedy}"
        )
    for part, tokens in parts.items():
        for example in range(len(tokens)):
            largest = int(tokens.ids(example).max())
            if largest >= rows:
                raise DataError(
                    f"{_place(tokens, example)} of the {part} data has {tokenizer.convert_ids_to_tokens(largest)!r}, "
                    f"the token {largest}. {remedy}"
                )


def check_end_tokens(config: RunConfig, model: Any, parts: Parts) -> None:
    """For encoder-decoders that classify by the last end token, and need equally many in the texts of a batch.

    Raises:
        DataError: a text has more of them than others.
    """
    if not model.config.is_encoder_decoder:
        return
    end, first = model.config.eos_token_id, next(iter(parts.values()))
    expected = int((first.ids(int(np.argmin(first.lengths))) == end).sum())
    for part, tokens in parts.items():
        for example in range(len(tokens)):
            count = int((tokens.ids(example) == end).sum())
            if count != expected:
                raise DataError(
                    f"{_place(tokens, example)} of the {part} data has {count} end tokens, not {expected} as others; "
                    f"{config.model.path} classifies by that token. Take the token out of the text."
                )


def find_padding_side(config: RunConfig, module: FineTuner, train: Examples, pad: int) -> Side | None:
    """The side on which rows are padded; None if no text may be padded.

    Raises:
        ConfigError: the model cannot compute the texts, or what it computes is NaN; or it computes other results for
            texts beside padding, and `trainer.micro_batch` is not 1.
    """
    ids = [_ids(train, int(choose(train.lengths)), module) for choose in (np.argmin, np.argmax)]
    try:
        side = padding_side(module.model, ids[0], pad)
        logits = text_logits(module.model, ids[1])
    except FAILURES as error:
        from passingloop.train.ending.failures import is_out_of_memory  # brings lightning: see above

        if is_out_of_memory(error):
            raise
        raise ConfigError(_failure(config, module, ids, pad, error)) from error
    if logits.isnan().any():
        raise ConfigError(
            f"You set model.path={config.model.path}, but its result for a text is NaN, which is no number. Its "
            "weights are damaged, or do not fit its config.json. Choose another model."
        )
    if side == "left" and module.task.causal:
        side = None  # labels stand where rows are padded on the right
    if side is None and config.trainer.micro_batch != 1:
        raise ConfigError(
            f"You set model.path={config.model.path}, but it computes other results for a text beside padding, on "
            "either side, so they would depend on the other texts of a batch. Set trainer.micro_batch=1, with which no "
            "text is padded, or choose another model."
        )
    return side


def _failure(config: RunConfig, module: FineTuner, ids: list[Tensor], pad: int, error: Exception) -> str:
    model: Any = module.model
    end = model.config.eos_token_id
    with_end = torch.cat([ids[0], ids[0].new_tensor([end])]) if isinstance(end, int) else ids[0]
    if _computes(module, with_end) and not _computes(module, ids[0]):
        return (
            f"You set model.path={config.model.path}, which reads its result from the end token (eos_token_id={end}), "
            "but its tokenizer adds none to a text. Choose a tokenizer that does, or another model."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return (
        f"You set model.path={config.model.path}, but it cannot compute texts of {len(ids[0])}–{len(ids[1])} tokens: "
        f"{reason}. Lower data.max_length, or choose another model."
    )


def _computes(module: FineTuner, ids: Tensor) -> bool:
    try:
        text_logits(module.model, ids)
    except FAILURES:
        return False
    return True


def _ids(tokens: Examples, example: int, module: FineTuner) -> Tensor:
    return torch.from_numpy(tokens.ids(example).astype(np.int64)).to(module.device)


def _place(tokens: Examples, example: int) -> str:
    return describe_places([tokens.place(example)])
