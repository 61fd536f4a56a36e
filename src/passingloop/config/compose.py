"""From what Hydra composed to settings."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from passingloop.config.build import build
from passingloop.config.explain import explain, known_keys
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
    """`config` with absolute paths, and with the defaults that depend on other settings filled in.

    Raises:
        ConfigError: a folder that is named is not there, or has a name that cannot be written down.
    """
    settled = dataclasses.replace(
        config,
        run_root=folder / config.run_root,
        cache_root=folder / config.cache_root,
        model=_located_model(config.model, folder),
        data=_located_data(config.data, folder),
        trainer=_with_length(config.trainer),
    )
    _check_encoding(settled)
    return settled


def _located_model(model: ModelConfig, folder: Path) -> ModelConfig:
    """A folder as an absolute path; anything else is a hub id."""
    local = _absolute(model.path, folder)
    if model.path and os.path.isdir(local):  # noqa: PTH112  # Path.is_dir() raises where it may not look
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
    parts = {part: _located_part(data, part, folder) for part in ("train", "validation", "test")}
    return dataclasses.replace(data, **parts)  # type: ignore[arg-type]


def _located_part(data: DataConfig, part: str, folder: Path) -> tuple[str, ...]:
    paths: tuple[str, ...] = getattr(data, part)
    if "" in paths:
        raise ConfigError(f"You set data.{part} to an empty text. Give a path or a glob, such as train.csv.")
    return tuple(str(_absolute(path, folder)) for path in paths)


def _absolute(path: str, folder: Path) -> Path:
    return folder / os.path.expanduser(path)  # noqa: PTH111  # Path.expanduser() raises for a user that is not there


def _with_length(trainer: TrainerConfig) -> TrainerConfig:
    epochs = 5.0 if trainer.epochs is None and trainer.steps is None else trainer.epochs
    batch_size = 32 if trainer.batch_size is None and trainer.batch_tokens is None else trainer.batch_size
    return dataclasses.replace(trainer, epochs=epochs, batch_size=batch_size)


def _check_encoding(config: RunConfig) -> None:
    """Linux allows any bytes in a name, JSON only UTF-8."""
    for key in known_keys():
        value = functools.reduce(getattr, key.split("."), config)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{key} is {text!a}, which is not UTF-8. Rename it, or set another.") from None
