"""Overrides of settings that are there already, such as those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from passingloop.config.build import to_plain
from passingloop.config.command_line import configs_of, hydra_word
from passingloop.config.compose import compose, settings
from passingloop.config.explain import explain
from passingloop.config.passwords import refuse_passwords
from passingloop.config.settings import RunConfig
from passingloop.config.values import GROUPS, keep_secrets_as_references, keep_texts_as_typed
from passingloop.errors import ConfigError

ALTERNATIVES = {
    "trainer.steps": "trainer.epochs",
    "trainer.epochs": "trainer.steps",
    "trainer.batch_size": "trainer.batch_tokens",
    "trainer.batch_tokens": "trainer.batch_size",
}
"""Settings that take each other's place: one that is set makes the other null."""


def overridden(config: RunConfig, words: Sequence[str], folder: Path) -> RunConfig:
    """`config` with the overrides `words`, which are those of ``python train.py``; relative paths are from `folder`.

    Raises:
        ConfigError: a mistake in `words`, a password, or a sweep.
    """
    refuse_passwords(words)
    keep_secrets_as_references()
    keep_texts_as_typed()
    values = OmegaConf.create(to_plain(config))
    typed = [hydra_word(word) for word in words]
    try:
        overrides = OverridesParser.create().parse_overrides(typed)
        _apply(overrides, values)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, typed) from error
    return settings(values, folder)


def _apply(overrides: Sequence[Override], values: DictConfig) -> None:
    """Change `values`: first the groups that are chosen anew, then single settings."""
    for override in overrides:
        if override.is_sweep_override() or "hydra" in override.key_or_group.split("."):
            raise ConfigError(f"You set {override.input_line}, but this is about one run. Give each setting one value.")
    groups = [override for override in overrides if override.key_or_group in GROUPS]
    for group in groups:
        values[group.key_or_group] = _chosen(group)
    single = [override for override in overrides if override not in groups]
    for override in single:
        if other := ALTERNATIVES.get(override.key_or_group):
            OmegaConf.update(values, other, None)
    ConfigLoaderImpl._apply_overrides_to_config(single, values)


def _chosen(group: Override) -> DictConfig:
    """The section of a group's choice.

    Raises:
        ConfigError: the group cannot be chosen here, or has no such choice.
    """
    name = group.key_or_group
    if name == "experiment":
        raise ConfigError(
            f"You set {group.input_line}, but the settings of the run are what is changed here. Set single settings, "
            "such as trainer.epochs=3."
        )
    word = str(group.input_line)
    composed = compose([word])
    if composed is None:
        configs_of([word])  # has the sentence for it
        raise ConfigError(f"You set {group.input_line}, which is not understood here. Set single settings instead.")
    section = composed[name]
    assert isinstance(section, DictConfig)
    return section
