"""Chooses the run directory of a configuration: an existing one to continue, or a new one."""

from __future__ import annotations

import os

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import run_folder
from passingloop.rundir.directory import RunDir


def choose_run(config: RunConfig) -> RunDir:
    """The newest run with this signature, or a new one if there is none or `rerun` is set.

    Creates the directory, and sets the umask of the process to fit `config.run_mode`.

    Raises:
        ConfigError: the directory is outside `run_root`, or cannot be created.
    """
    os.umask(0o777 & ~int(config.run_mode, 8))
    try:
        run = RunDir(run_folder(config, _run_number(config)))
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"You set run_root={config.run_root}, but {error.filename} cannot be used: {error.strerror}. Set run_root "
            "to a folder you may write to."
        ) from error
    if not run.path.resolve().is_relative_to(config.run_root.resolve()):
        raise ConfigError(
            f"{run.path} is a link to {run.path.resolve()}, outside run_root={config.run_root}. Remove the link, or "
            "set another name."
        )
    return run


def _run_number(config: RunConfig) -> int:
    """The number of the run among those with its signature, from 1."""
    number = 1
    while RunDir(run_folder(config, number + 1)).record.exists():
        number += 1
    started = RunDir(run_folder(config, number)).record.exists()
    return number + 1 if config.rerun and started else number
