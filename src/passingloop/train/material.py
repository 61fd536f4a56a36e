"""What an attempt works on: where the model comes from, its tokenizer, the prepared data. No weights yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from passingloop.config.settings import RunConfig
from passingloop.data.prepare import Prepared, prepare
from passingloop.data.sources import open_source
from passingloop.errors import ConfigError
from passingloop.rundir.record import Fingerprint
from passingloop.train import pretrained
from passingloop.train.pretrained import Origin

DEFAULT_LENGTH = {"classification": 256, "causal_lm": 1024}
"""Tokens per example at most, unless `data.max_length` says otherwise."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that is there before the model is."""

    origin: Origin
    tokenizer: Any
    settings: Any
    """The model's transformers configuration."""
    max_length: int
    data: Prepared
    fingerprint: Fingerprint


def gather(config: RunConfig, notice: Callable[[str], None]) -> Material:
    """Find the model, load its tokenizer, and prepare the data unless that has been done.

    Raises:
        ConfigError: the model or its tokenizer cannot be used, or takes fewer tokens than asked for.
        DataError: the data cannot be used.
        MissingError: the model cannot be had here.
    """
    origin = pretrained.find(config.model)
    settings = pretrained.load_settings(origin, config.model)
    tokenizer = pretrained.load_tokenizer(origin, config.model)
    max_length = _max_length(config, pretrained.longest(tokenizer, settings))
    source = open_source(config.data, config.task, config.cache_root)
    data, fingerprint = prepare(config.task, config.data, source, tokenizer, max_length, config.cache_root, notice)
    return Material(origin, tokenizer, settings, max_length, data, fingerprint)


def _max_length(config: RunConfig, longest: int | None) -> int:
    wanted = config.data.max_length
    if wanted is None:
        default = DEFAULT_LENGTH[config.task]
        return min(default, longest or default)
    if longest is not None and wanted > longest:
        raise ConfigError(
            f"You set data.max_length={wanted}, but {config.model.path} takes at most {longest} tokens. Lower "
            "data.max_length, or choose a model for longer texts."
        )
    return wanted
