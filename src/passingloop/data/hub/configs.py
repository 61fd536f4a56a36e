"""A dataset's configurations: which there are, where the one that is meant is not among them."""

from __future__ import annotations

from passingloop.config.build import did_you_mean
from passingloop.config.data import HubData
from passingloop.data.files.errors import listed
from passingloop.data.hub.cache import datasets_library
from passingloop.errors import ConfigError


def config_error(config: HubData, revision: str | None) -> ConfigError | None:
    """The error if `data.config` is none of the dataset's configurations, or there is a choice to be made."""
    names = datasets_library().get_dataset_config_names(config.path, revision=revision)
    if config.config is None and len(names) > 1:
        return ConfigError(
            f"You set data.path={config.path}, which has several configurations: {listed(names)}. Choose one, as in "
            f"data.config={names[0]}."
        )
    if config.config is not None and config.config not in names:
        return ConfigError(
            f"You set data.config={config.config}, but data.path={config.path} has no such configuration. It has: "
            f"{listed(names)}.{did_you_mean(config.config, names)}"
        )
    return None
