"""Makes Hydra's ``-m`` hand over a whole sweep at once, instead of running its points one by one.

Hydra accepts sweepers from the namespace package ``hydra_plugins`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from passingloop.errors import ConfigError

ConfigStore.instance().store(
    group="hydra/sweeper",
    name="passingloop",
    node={"_target_": "hydra_plugins.passingloop_sweeper.Collector", "params": None},
    provider="passingloop",
)


class Collector(Sweeper):
    """Composes the points of a sweep and gives each to the task function, which collects them.

    They are checked together and launched together: a mistake in the last is found before the first one trains.
    Hydra's own sweeper would write its record of the sweep before that, and compose every point twice.
    """

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        """`params` are what a configuration sweeps over by itself, as ``hydra.sweeper.params``."""
        self._params = [f"{key}={values}" for key, values in (params or {}).items()]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> None:
        loader = self._context.config_loader
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*self._params, *arguments])
        [points] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
        if not points:
            raise ConfigError(f"You set {' '.join(arguments)}, but that leaves nothing to train. Name some values.")
        for point in points:
            composed = loader.load_sweep_config(self._config, list(point))
            self._task(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))
