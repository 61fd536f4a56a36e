"""Makes Hydra's ``-m`` hand over a whole sweep at once, instead of running its points one by one.

Hydra accepts sweepers from the namespace package ``hydra_plugins`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from passingloop.config.command_line import hydra_word
from passingloop.config.points import CollectedSweep, key_of, points
from passingloop.config.space import split_space

ConfigStore.instance().store(
    group="hydra/sweeper",
    name="passingloop",
    node={"_target_": "hydra_plugins.passingloop_sweeper.Collector", "params": None},
    provider="passingloop",
)


class Collector(Sweeper):
    """Composes the points of a sweep and gives all of them to the task function at once.

    They are checked together and launched together: a mistake in the last is found before the first one trains.
    Hydra's own sweeper would write its record of the sweep before that, and compose every point twice.
    """

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        """`params` are what a configuration sweeps over by itself, as ``hydra.sweeper.params``."""
        self._params = [f"{key}={values}" for key, values in (params or {}).items()]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> None:
        """What `arguments` set goes before what the configuration sweeps over."""
        typed = {key_of(word) for word in arguments}
        plain, space = split_space([word for word in self._params if key_of(word) not in typed])
        words = [*map(hydra_word, plain), *arguments]
        self._task(CollectedSweep(list(points(self._context.config_loader, self._config, words)), space))
