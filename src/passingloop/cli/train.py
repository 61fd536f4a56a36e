"""``python train.py [overrides]`` and ``passingloop train [overrides]``: Hydra composes, we check and launch."""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from passingloop.cli.people import exit_code
from passingloop.config.compose import config_folder, explain, settings
from passingloop.config.secrets import keep_secrets_as_references


def main() -> int:
    """Train what the command line (``sys.argv``) says. Returns the exit code of docs/reference/exit-codes.md."""
    return exit_code(_train)


def _train() -> int:
    points = _compose()
    configs = [settings(point, Path.cwd()) for point in points]
    if not configs:
        return 0  # --help, --cfg and --info have printed what was asked for
    from passingloop.launch.shell import run_here  # after the check, so that mistakes are answered at once

    return run_here(configs, print)


def _compose() -> list[DictConfig]:
    """What the command line asks for: one configuration, or with ``-m`` one for each point of the sweep."""
    points: list[DictConfig] = []
    keep_secrets_as_references()
    os.umask(0o077)  # Hydra keeps a record of each sweep under run_root
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them itself
    collect = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(points.append)
    try:
        collect()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error) from error
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
    return points
