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


def explain(error: Exception) -> ConfigError:
    """The sentence for an error that Hydra or OmegaConf raised while composing."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(error)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"'{error.override}' is not understood: {_first_line(error)}. Write key=value; put "
            "values with commas, spaces or brackets in quotes, as in 'data.train=\"a, b.csv\"'."
        )
    if isinstance(error, InterpolationResolutionError):
        return ConfigError(f"{error.full_key}: {_resolution_problem(error)}")
    typed = re.match(r"Could not (?:override|append to config|delete from config)\D*?'?([\w./@]+)", str(error))
    if typed and isinstance(error, ConfigCompositionException):
        return ConfigError(unknown_key(typed.group(1), known_keys()))
    if "Config group override must be a string" in str(error):
        return ConfigError(
            "A group of settings takes the name of a choice, not a number. Set one of its keys, as in "
            "optim.lr=1e-4, or choose, as in optim=adamw."
        )
    return ConfigError(_without_hydra_advice(str(error)))


def known_keys() -> list[str]:
    """Every setting and section by its full name, as the command line spells it."""
    return [key for key, _ in _keys(RunConfig)]


def _keys(cls: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(cls).items():
        yield prefix + name, hint
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _keys(hint, f"{prefix}{name}.")


def _unknown_choice(error: MissingConfigException) -> ConfigError:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    options = sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
    if not group or not options:
        return ConfigError(unknown_key(group or choice, known_keys()))
    return ConfigError(
        f"You set {group}={choice}, but there is no {group} of that name."
        f"{did_you_mean(choice, options)} There is: {', '.join(options)}."
    )


def _resolution_problem(error: InterpolationResolutionError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _without_hydra_advice(text: str) -> str:
    """Hydra's message in one paragraph."""
    return re.sub(r"\s*\n\s*", " ", text.strip())


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
