"""What an attempt works on: where the model comes from, its tokenizer, the prepared data. No weights yet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from passingloop.config.build import build
from passingloop.config.data import DataConfig, Fingerprint, MixData, errors_named, named_sources
from passingloop.config.settings import RunConfig
from passingloop.data.cache import index
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.mix import Data, mixed_data, single_source_data
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.data.source import open_source
from passingloop.errors import ConfigError
from passingloop.model import pretrained
from passingloop.model.pretrained import Origin
from passingloop.tasks.task import learning_task


@dataclass(frozen=True, slots=True)
class Material:
    """What is read before the model is loaded: tokenizer, configuration, data."""

    origin: Origin
    tokenizer: Any
    settings: Any
    """The model's transformers configuration."""
    max_length: int
    """Tokens per example at most."""
    data: Data
    prepared: Mapping[str, Prepared]
    """Each source by itself, by its name in the mix; one without a name where there is no mix."""
    fingerprint: Fingerprint


def gather(config: RunConfig, notice: Callable[[str], None], kept: Fingerprint | None = None) -> Material:
    """Find the model, load its tokenizer, and prepare the data unless that has been done.

    Args:
        kept: of the data that the run began with, if it has begun.

    Raises:
        ConfigError: the model or its tokenizer cannot be used, or takes fewer tokens than asked for.
        DataError: the data cannot be used.
        MissingError: the model or the data cannot be had here.
    """
    origin = pretrained.find_origin(config.model)
    settings = pretrained.load_settings(origin, config.model)
    tokenizer = pretrained.load_tokenizer(origin, config.model)
    longest = pretrained.max_tokens(tokenizer, settings)
    noted = index.config_digest(config)
    lengths: dict[str, int] = {}
    prepared: dict[str, Prepared] = {}
    fingerprint: dict[str, Mapping[str, str]] = {}
    for name, data in named_sources(config.data).items():
        lengths[name] = _max_length(data, config, longest)
        with errors_named(name):
            source = open_source(data, config.task, config.cache_root, _source_fingerprint(name, kept))
            recipe = Recipe(task=config.task, config=data, tokenizer=tokenizer, max_length=lengths[name])
            prepared[name], identity = prepare_source(recipe, source, config.cache_root, notice)
        fingerprint |= {f"{name}/{part}" if name else part: pieces for part, pieces in identity.items()}
    fewest = learning_task(config.task).fewest_classes
    if isinstance(config.data, MixData):
        examples = mixed_data(prepared, config.data.weights, fewest)
    else:
        examples = single_source_data(prepared[""], fewest)
    index.record_folders(config, noted, [source.folder for source in prepared.values()])
    return Material(origin, tokenizer, settings, max(lengths.values()), examples, prepared, fingerprint)


def prepare_cache(settings: Mapping[str, Any]) -> None:
    """`gather` for a run with these settings, of which its configuration is made; only the cache is kept.

    Raises:
        PassingloopError: as `gather`.
    """
    say = functools.partial(print, flush=True)
    for note in gather(build(RunConfig, settings), say).data.notes:
        say(note)


def _source_fingerprint(source: str, fingerprint: Fingerprint | None) -> Fingerprint | None:
    """What of the fingerprint of a mix is that of one `source`; of data from one source only, all."""
    if fingerprint is None or not source:
        return fingerprint
    return {key.partition("/")[2]: pieces for key, pieces in fingerprint.items() if key.partition("/")[0] == source}


def _max_length(data: DataConfig, config: RunConfig, longest: int | None) -> int:
    wanted = data.max_length
    if wanted is None:
        default = learning_task(config.task).default_length
        return min(default, longest or default)
    if longest is not None and wanted > longest:
        raise ConfigError(
            f"You set data.max_length={wanted}, but {config.model.path} takes at most {longest} tokens. Lower "
            "data.max_length, or choose a model for longer texts."
        )
    return wanted
