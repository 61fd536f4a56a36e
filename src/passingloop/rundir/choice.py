"""Chooses the run directory of a configuration: an existing one to continue, or a new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import rerun_folder, run_folder
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home


def choose_run(config: RunConfig) -> RunDir:
    """The newest run with this signature, or a new one if there is none or `rerun` is set; its directory is there.

    Raises:
        ConfigError: as `make_directory`.
    """
    with _folder_errors(config):
        chosen = newest_run(config)
    return make_directory(chosen, config)


def make_directory(run: RunDir, config: RunConfig) -> RunDir:
    """Create the directory of `run`, and set the umask of the process to fit `config.run_mode`. Returns the run.

    A complete run may be in the archive.

    Raises:
        ConfigError: the directory is outside `run_root`, or cannot be created; or the run is in the archive and not
            complete.
    """
    os.umask(0o777 & ~int(config.run_mode, 8))
    if _is_archived(run, config):
        return _complete_or_refused(run)
    with _folder_errors(config):
        run.path.mkdir(parents=True, exist_ok=True)
    if not run.path.resolve().is_relative_to(config.run_root.resolve()):
        raise ConfigError(
            f"{run.path} is a link to {run.path.resolve()}, outside run_root={config.run_root}. Remove the link, "
            "or set another name."
        )
    return run


@contextmanager
def _folder_errors(config: RunConfig) -> Iterator[None]:
    """An OSError within it is a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"You set run_root={config.run_root}, but {error.filename} cannot be used: {error.strerror}. Set run_root "
            "to a folder you may write to."
        ) from error


def is_complete(config: RunConfig) -> bool:
    """Whether the run that `choose_run` would choose is complete. Nothing is created."""
    archive = Home.for_user(config.run_root).archive
    if not any((root / config.name).is_dir() for root in (config.run_root, archive)):
        return False  # a sweep of many new runs needs no signatures yet
    return newest_run(config).result.exists()


def newest_run(config: RunConfig) -> RunDir:
    """The newest run of these settings, or for a rerun the one after that. Nothing is created."""
    folder = run_folder(config)
    number = 1
    while _place(config, rerun_folder(folder, number + 1)).record.exists():
        number += 1
    newest = _place(config, rerun_folder(folder, number))
    return RunDir(rerun_folder(folder, number + 1)) if config.rerun and newest.record.exists() else newest


def _place(config: RunConfig, folder: Path) -> RunDir:
    """The run of this folder: there, or in the archive."""
    here, archived = RunDir(folder), RunDir(Home.for_user(config.run_root).archive / config.name / folder.name)
    return archived if archived.record.exists() and not here.record.exists() else here


def _is_archived(run: RunDir, config: RunConfig) -> bool:
    return run.path.parents[1] != config.run_root


def _complete_or_refused(archived: RunDir) -> RunDir:
    """The run in the archive, if nothing is left to do about it.

    Raises:
        ConfigError: it was to be continued.
    """
    if archived.result.exists():
        return archived
    raise ConfigError(
        f"This run was put into the archive before it was complete: {archived.path}. `passingloop archive --undo "
        f"{archived.path.name}` brings it back to be continued; rerun=true starts afresh beside it."
    )
