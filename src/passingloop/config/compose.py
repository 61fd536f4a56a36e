"""From the words of a command line, through what Hydra makes of them, to settings."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra.version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import hydra_plugins
from passingloop.config.build import build, leaves, to_plain
from passingloop.config.explain import explain
from passingloop.config.locations import absolute_key_file, located_model, missing_folder
from passingloop.config.passwords import refuse_passwords_in
from passingloop.config.settings import RunConfig, TrainerConfig
from passingloop.errors import ConfigError


def config_folder() -> Path:
    """The folder of the YAML groups: inside an installed wheel, or `config/` beside `src/` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "yaml"
    return installed if installed.is_dir() else package.parents[1] / "config"


def compose(words: Sequence[str]) -> DictConfig | None:
    """The configuration of the one run that the overrides `words` describe, composed without Hydra's own settings.

    None if they describe anything else, such as a sweep or a mistake, or if other packages extend Hydra: `hydra.main`
    then knows what to do or say. It takes 160 ms; this takes 40. The steps are those of Hydra's `load_configuration`.
    """
    if [plugin.name for plugin in pkgutil.iter_modules(hydra_plugins.__path__)] != ["passingloop_sweeper"]:
        return None
    try:
        return _without_hydra(_loader(), list(words))
    except (HydraException, OmegaConfBaseException, ValueError):
        return None


def _loader() -> ConfigLoaderImpl:
    """Hydra's loader of our files. Hydra's own way to one imports all of its plugins first: 8 ms."""
    hydra.version.setbase("1.3")
    setup_globals()
    for source in (FileConfigSource, StructuredConfigSource):
        SourcesRegistry.instance().register(source)
    where = ConfigSearchPathImpl()
    where.append("main", f"file://{config_folder()}")
    where.append("schema", "structured://")
    return ConfigLoaderImpl(where)


def _without_hydra(loader: ConfigLoaderImpl, words: list[str]) -> DictConfig | None:
    overrides, files = loader._parse_overrides_and_create_caching_repo("config", words)
    loader.validate_sweep_overrides_legal(overrides, run_mode=RunMode.RUN, from_shell=True)
    chosen = create_defaults_list(files, "config", overrides, prepend_hydra=False, skip_missing=False)
    config = loader._compose_config_from_defaults_list(chosen.defaults, files)
    OmegaConf.set_struct(config, True)
    loader._apply_overrides_to_config(chosen.config_overrides, config)
    return None if "hydra" in config else config  # an experiment may set up a sweep


def settings(composed: DictConfig, folder: Path, is_complete: Callable[[RunConfig], bool] | None = None) -> RunConfig:
    """The checked settings of one run; relative paths are taken from `folder`.

    Args:
        is_complete: see `settle`.

    Raises:
        ConfigError: see `passingloop.config.build.build`; also for an environment variable that is not set.
    """
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    assert isinstance(values, dict)
    refuse_passwords_in(values)  # type: ignore[arg-type]  # YAML keys are strings here
    return settle(build(RunConfig, values), folder, is_complete)  # type: ignore[arg-type]  # YAML keys are strings here


def settle(config: RunConfig, folder: Path, is_complete: Callable[[RunConfig], bool] | None = None) -> RunConfig:
    """`config` with absolute paths, and with the defaults that depend on other settings filled in.

    Args:
        is_complete: whether the run of given settings is complete. It may then be asked for also when the folder of
            its model is gone. None: no run may.

    Raises:
        ConfigError: a folder that is named is not there, or has a name that cannot be written down.
    """
    settled = dataclasses.replace(
        config,
        run_root=folder / config.run_root,
        cache_root=folder / config.cache_root,
        data=config.data.located(folder, "data"),
        export=dataclasses.replace(config.export, credentials=absolute_key_file(config.export.credentials, folder)),
        trainer=_with_length(config.trainer),
    )
    gone = missing_folder(config.model, folder)
    if is_complete and gone and is_complete(dataclasses.replace(settled, model=gone)):
        settled = dataclasses.replace(settled, model=gone)
    else:
        settled = dataclasses.replace(settled, model=located_model(config.model, folder))
    _check_encoding(settled)
    return settled


def _with_length(trainer: TrainerConfig) -> TrainerConfig:
    epochs = 5.0 if trainer.epochs is None and trainer.steps is None else trainer.epochs
    batch_size = 32 if trainer.batch_size is None and trainer.batch_tokens is None else trainer.batch_size
    return dataclasses.replace(trainer, epochs=epochs, batch_size=batch_size)


def _check_encoding(config: RunConfig) -> None:
    """Linux allows any bytes in a name, JSON only UTF-8."""
    for key, value in leaves(to_plain(config)):
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{key} is {text!a}, which is not UTF-8. Rename it, or set another.") from None
