"""What an attempt works on: where the model comes from, its tokenizer, the prepared data. No weights yet."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from passingloop.config.build import build
from passingloop.config.data import DataConfig, Fingerprint, MixData, errors_named, named_sources
from passingloop.config.settings import RunConfig
from passingloop.data.cache import index
from passingloop.data.prepare.fill import Recipe
from passingloop.data.prepare.mix import Data, mixed_data, single_source_data
from passingloop.data.prepare.pipeline import Prepared, prepare_source
from passingloop.data.prepare.similar_labels import combined_setting
from passingloop.data.source import open_source
from passingloop.errors import ConfigError
from passingloop.model import pretrained
from passingloop.model.fingerprint import moved_branch
from passingloop.model.pretrained import Origin
from passingloop.rundir.record import PinnedValues
from passingloop.tasks.task import learning_task
from passingloop.train.compatibility import check_texts

CURRENT_TIME = "strftime_now"
"""The function by which a chat template writes the current time: `strftime_now("%d %b %Y")`."""


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

    @property
    def ends(self) -> set[int]:
        """The tokens that end answers of chats, or texts."""
        eos = self.tokenizer.eos_token_id
        texts = [] if eos is None else [eos]
        return {end for source in self.prepared.values() for end in source.meta.get("answer_ends", texts)}


def gather(
    config: RunConfig,
    notice: Callable[[str], None],
    date: datetime.date | None = None,
    pinned: PinnedValues | None = None,
) -> Material:
    """Find the model, load its tokenizer, and prepare the data unless that has been done.

    Args:
        date: what a chat template writes as the current date; None: today, in UTC.
        pinned: of the model and the data that the run began with, if it has begun.

    Raises:
        ConfigError: the model or its tokenizer cannot be used, or takes fewer tokens than asked for.
        DataError: the data cannot be used.
        MissingError: the model or the data cannot be had here.
    """
    origin = pretrained.find_origin(config.model, pinned.model_fingerprint if pinned else None)
    settings = pretrained.load_settings(origin, config.model)
    origin = pretrained.with_commit(origin)
    tokenizer = pretrained.load_tokenizer(origin, config.model)
    date = _freeze_date(tokenizer, date or datetime.datetime.now(datetime.UTC).date())
    kept = pinned.data_fingerprint if pinned else None
    if pinned and (moved := moved_branch(config.model, pinned.model_fingerprint)):
        notice(moved)
    longest = pretrained.max_tokens(tokenizer, settings)
    noted = index.config_digest(config)
    lengths: dict[str, int] = {}
    prepared: dict[str, Prepared] = {}
    fingerprint: dict[str, Mapping[str, str]] = {}
    for name, data in named_sources(config.data).items():
        lengths[name] = _max_length(data, config, longest)
        with errors_named(name):
            source = open_source(data, config.task, config.cache_root, _source_fingerprint(name, kept))
            if date and data.chat_column is not None:
                notice(f"The chat template writes the current date. For this run it is always {date}.")
            recipe = Recipe(task=config.task, config=data, tokenizer=tokenizer, max_length=lengths[name], date=date)
            prepared[name], identity = prepare_source(recipe, source, config.cache_root, notice)
        fingerprint |= {f"{name}/{part}" if name else part: pieces for part, pieces in identity.items()}
    fewest = learning_task(config.task).fewest_classes
    similar = combined_setting(list(named_sources(config.data).values()))
    if pinned and similar == "refuse":
        similar = "keep"  # earlier versions did not look; what has begun goes on with its classes
    if isinstance(config.data, MixData):
        examples = mixed_data(prepared, config.data.weights, fewest, similar)
    else:
        examples = single_source_data(prepared[""], fewest, similar)
    check_texts(examples.parts, config.model.path)
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


def _freeze_date(tokenizer: Any, date: datetime.date) -> datetime.date | None:
    """Have the tokenizer's chat template write `date` as the current date, at midnight, in this process.

    Returns the date if the template writes one, else None.
    """
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import _compile_jinja_template

    template = tokenizer.chat_template or ""
    sources = template.values() if isinstance(template, dict) else [template]
    dated = [source for source in sources if CURRENT_TIME in source]
    for source in dated:
        midnight = datetime.datetime.combine(date, datetime.time())
        # The compiled template is the one that every later call uses. Functions cannot be passed as variables.
        with suppress(TemplateError):  # an error in a template is reported when a chat is written
            _compile_jinja_template(source).globals[CURRENT_TIME] = midnight.strftime
    return date if dated else None


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
