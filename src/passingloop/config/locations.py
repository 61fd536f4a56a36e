"""Places that settings name, made absolute, as a job may run in another folder; and whether the hub may be asked."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from passingloop.config.settings import ModelConfig
from passingloop.errors import ConfigError


def absolute(path: str, folder: Path) -> Path:
    """`path` as it is meant in `folder`, with the home folder for ``~``."""
    return folder / os.path.expanduser(path)  # noqa: PTH111  # Path.expanduser() raises for a user that is not there


def absolute_key_file(credentials: str, folder: Path) -> str:
    """Credentials for Google Cloud Storage with an absolute path, if they are a path."""
    return credentials if credentials in ("default", "anonymous") else str(absolute(credentials, folder))


def located_model(model: ModelConfig, folder: Path) -> ModelConfig:
    """A folder as an absolute path; anything else is a hub id.

    Raises:
        ConfigError: it is neither a folder that is there nor written as an id; or it is a folder, which has no
            revisions.
    """
    local = absolute(model.path, folder)
    if model.path and os.path.isdir(local):  # noqa: PTH112  # Path.is_dir() raises where it may not look
        if model.revision is not None:
            raise ConfigError(
                f"You set model.revision={model.revision}, but model.path={model.path} is a folder, which has no "
                "revisions. Leave model.revision out, or set model.path to a Hugging Face model id."
            )
        return dataclasses.replace(model, path=str(local.resolve()))
    if model.path.startswith(("/", "./", "../", "~")):
        raise ConfigError(
            f"You set model.path={model.path}, but there is no such folder. Give a folder that holds "
            "a model, or a Hugging Face model id such as sentence-transformers/all-MiniLM-L6-v2."
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model.path):
        raise ConfigError(f"You set model.path={model.path}, which is neither a folder nor a Hugging Face model id.")
    return model


def missing_folder(model: ModelConfig, folder: Path) -> ModelConfig | None:
    """`model` as `located_model` would have given it if `model.path` were a folder; None if it is one."""
    local = absolute(model.path, folder)
    if not model.path or model.revision is not None or os.path.isdir(local):  # noqa: PTH112  # as above
        return None
    return dataclasses.replace(model, path=str(local.resolve()))


def hub_is_offline() -> bool:
    """Whether the environment says that the Hugging Face hub is not to be asked, for models and data alike.

    The rule is that of `huggingface_hub.constants`, which reads the variables when it is imported.
    """
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")
