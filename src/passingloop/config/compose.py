"""From what Hydra composed to settings, and from Hydra's errors to sentences for people."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from passingloop.config.build import build, did_you_mean, unknown_key
from passingloop.config.settings import DataConfig, ModelConfig, RunConfig, TrainerConfig
from passingloop.errors import ConfigError


def config_folder() -> Path:
    """The folder of the YAML groups: inside an installed wheel, or `config/` beside `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "yaml"
    return installed if installed.is_dir() else package.parents[1] / "config"


def settings(composed: DictConfig, folder: Path) -> RunConfig:
    """The checked settings of one run; relative paths are taken from `folder`.

    Raises:
        ConfigError: see `passingloop.config.build.build`; also for an environment variable that is not set.
    """
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(values, dict)
    return settle(build(RunConfig, values), folder)  # type: ignore[arg-type]  # YAML keys are strings here


def settle(config: RunConfig, folder: Path) -> RunConfig:
    """`config` with absolute paths, and with the defaults that depend on other settings filled in."""
    return dataclasses.replace(
        config,
        run_root=folder / config.run_root,
        cache_root=folder / config.cache_root,
        model=_located_model(config.model, folder),
        data=_located_data(config.data, folder),
        trainer=_with_length(config.trainer),
    )


def known_keys() -> list[str]:
    """Every setting and section by its full name, as the command line spells it."""
    return [key for key, _ in _keys(RunConfig)]


def _keys(cls: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(cls).items():
        yield prefix + name, hint
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _keys(hint, f"{prefix}{name}.")


def _located_model(model: ModelConfig, folder: Path) -> ModelConfig:
    """A folder as an absolute path; anything else is a hub id."""
    local = folder / Path(model.path).expanduser()
    if local.is_dir():
        return dataclasses.replace(model, path=str(local.resolve()))
    if model.path.startswith(("/", "./", "../", "~")):
        raise ConfigError(
            f"You set model.path={model.path}, but there is no such folder. Give a folder that holds "
            "a model, or a Hugging Face model id such as sentence-transformers/all-MiniLM-L6-v2."
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model.path):
        raise ConfigError(f"You set model.path={model.path}, which is neither a folder nor a Hugging Face model id.")
    return model


def _located_data(data: DataConfig, folder: Path) -> DataConfig:
    if data.source != "files":
        return data
    parts = {
        part: tuple(str(folder / Path(path).expanduser()) for path in getattr(data, part))
        for part in ("train", "validation", "test")
    }
    return dataclasses.replace(data, **parts)  # type: ignore[arg-type]


def _with_length(trainer: TrainerConfig) -> TrainerConfig:
    epochs = 5.0 if trainer.epochs is None and trainer.steps is None else trainer.epochs
    batch_size = 32 if trainer.batch_size is None and trainer.batch_tokens is None else trainer.batch_size
    return dataclasses.replace(trainer, epochs=epochs, batch_size=batch_size)
