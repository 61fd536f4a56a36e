"""``python train.py [overrides]`` and ``passingloop train [overrides]``: Hydra composes, we check and launch."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.cli.people import exit_code

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from passingloop.config.settings import RunConfig


def main() -> int:
    """Train what the command line (``sys.argv``) says. Returns the exit code of docs/reference/exit-codes.md."""
    return exit_code(_train)


def _train() -> int:
    from passingloop.config.compose import settings  # brings Hydra: from here on Ctrl-C is answered in a sentence

    configs = [settings(point, Path.cwd()) for point in _compose()]
    if not configs:
        return 0  # --help, --cfg and --info have printed what was asked for
    _check_data(configs)
    from passingloop.launch.shell import run_here  # after the checks, so that mistakes are answered at once

    return run_here(configs, functools.partial(print, flush=True))


def _compose() -> list[DictConfig]:
    """What the command line asks for: one configuration, or with ``-m`` one for each point of the sweep."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from passingloop.config.compose import config_folder
    from passingloop.config.explain import explain
    from passingloop.config.secrets import keep_secrets_as_references

    points: list[DictConfig] = []
    keep_secrets_as_references()
    typed = sys.argv[1:]
    sweep = [word for word in typed if word in ("-m", "--multirun")]  # argparse does not take it among the overrides
    sys.argv[1:] = sweep + [in_quotes(word) for word in typed if word not in sweep]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them itself
    collect = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(points.append)
    try:
        collect()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, typed) from error
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
    return points


def in_quotes(word: str) -> str:
    """A word as Hydra's grammar has it, which takes ~, = or ü in a value for mistakes unless it stands in quotes.

    Where a comma, a bracket or a quote leaves more than one way to read it, the word stays as it was typed.
    """
    return re.sub(r"""^([\w.+@/]+=)(?=.*[^ -}]|.*[~=#&;!<>^`])([^,'"()\[\]{}\\]+)$""", r'\1"\2"', word)


def _check_data(configs: Sequence[RunConfig]) -> None:
    """Find the files and the columns, so that a wrong name is known before the first run starts.

    Raises:
        ConfigError, DataError: something that the configuration names is not there.
    """
    from passingloop.data.sources import open_source

    for data, task in dict.fromkeys((config.data, config.task) for config in configs):
        source = open_source(data, task)
        if data.source == "files":
            for part in source.parts():
                next(source.read(part), None)
