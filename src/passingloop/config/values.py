"""How single values of a configuration are read: secrets stay references, and times stay what was typed."""

from __future__ import annotations

import os
import re

import yaml
from omegaconf import OmegaConf

from passingloop.errors import ConfigError

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS(?!INGLOOP)|(?<!^)(?<!^OLD)PWD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables whose values are never put into a configuration. PWD and OLDPWD are folders."""

_MISSING = object()


def keep_secrets_as_references() -> None:
    """Replace OmegaConf's ``oc.env`` by one that never resolves a secret, so that `--cfg job --resolve` is safe."""
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def _environment(name: str, default: object = _MISSING) -> object:
    if SECRET_NAME.search(name):
        return f"${{oc.env:{name}}}"
    if name in os.environ:
        return os.environ[name]
    if default is _MISSING:
        raise ConfigError(
            f"the environment variable {name} is not set. Set it, or give a default: ${{oc.env:{name},DEFAULT}}."
        )
    return default


def keep_times_as_typed() -> None:
    """Make PyYAML read 4:00:00 as text.

    YAML 1.1 takes it for the base-60 number 14400, which Slurm would take for minutes: ten days.
    """
    yaml.SafeLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text: str = loader.construct_scalar(node)
    number: int | str = text if ":" in text else loader.construct_yaml_int(node)
    return number
