"""Variables that hold secrets stay references, ``${oc.env:NAME}``, wherever a configuration is shown or stored."""

from __future__ import annotations

import os
import re

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
