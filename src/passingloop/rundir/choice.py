"""Chooses the run directory of a configuration: an existing one to continue, or a new one."""

from __future__ import annotations

import os
from pathlib import Path

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import rerun_folder, run_folder
from passingloop.rundir.directory import RunDir


def choose_run(config: RunConfig) -> RunDir:
    """The newest run with this signature, or a new one if there is none or `rerun` is set.

    Creates the directory, and sets the umask of the process to fit `config.run_mode`.

    Raises:
        ConfigError: the directory is outside `run_root`, or cannot be created.
    """
    os.umask(0o777 & ~int(config.run_mode, 8))
    try:
        run = RunDir(_newest(run_folder(config), rerun=config.rerun))
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


def is_complete(config: RunConfig) -> bool:
    """Whether the run that `choose_run` would choose is complete. Nothing is created."""
    if not (config.run_root / config.name).is_dir():  # a sweep of many new runs needs no signatures yet
        return False
    return RunDir(_newest(run_folder(config), rerun=config.rerun)).result.exists()


def _newest(folder: Path, *, rerun: bool) -> Path:
    """The folder of the newest run that began in `folder` or beside it, or for a rerun the one after that."""
    number = 1
    while RunDir(rerun_folder(folder, number + 1)).record.exists():
        number += 1
    newest = rerun_folder(folder, number)
    return rerun_folder(folder, number + 1) if rerun and RunDir(newest).record.exists() else newest
