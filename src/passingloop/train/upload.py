"""The finished model in Google Cloud Storage: `export.to`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passingloop.config.settings import RunConfig
from passingloop.data.gcs.connection import connected
from passingloop.errors import ConfigError, MissingError
from passingloop.rundir.layout import RunDir

SETTING = "export.credentials"

LAST = "config.json"
"""Uploaded when everything else is there, since a folder with it is taken for a model."""

log = logging.getLogger("passingloop")


def destination(config: RunConfig, run: RunDir) -> str | None:
    """The folder for the model of `run`, apart from those of a sweep's other runs; None without `export.to`."""
    if config.export.to is None:
        return None
    return f"{config.export.to.rstrip('/')}/{config.name}/{run.path.name}"


def check_destination(config: RunConfig, run: RunDir) -> None:
    """See that the model can be uploaded when it is trained. Writes nothing.

    Raises:
        ConfigError: there is no such bucket, or the credentials cannot be used.
        MissingError: the server refuses, fails or keeps silent.
    """
    to = destination(config, run)
    if to is None:
        return
    with _to_bucket(to), connected(config.export.credentials, SETTING, "read_write") as objects:
        objects.check_writable(f"{to}/{LAST}")


def upload(config: RunConfig, run: RunDir) -> None:
    """Upload what is in `export/`. A file that is there already, by its checksum, is left as it is.

    Raises:
        MissingError: not everything is there; says how to go on.
    """
    to = destination(config, run)
    if to is None:
        return
    log.info("Uploading the model to %s", to)
    try:
        with _to_bucket(to), connected(config.export.credentials, SETTING, "read_write") as objects:
            for path in _files(run.export):
                objects.upload(path, f"{to}/{path.relative_to(run.export).as_posix()}")
    except (ConfigError, MissingError) as error:
        raise MissingError(
            f"The model is trained, and whole in {run.export}; only uploading it has failed. {error} The same command "
            "uploads what is missing."
        ) from error


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path == folder / LAST)


@contextmanager
def _to_bucket(to: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"You set export.to so that the model goes to {to}, but there is no such bucket.") from error
