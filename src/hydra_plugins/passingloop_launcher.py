"""Makes Hydra's ``-m`` hand over a whole sweep at once, instead of running its points one by one.

Hydra accepts launchers from the namespace package ``hydra_plugins`` only.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

ConfigStore.instance().store(
    group="hydra/launcher",
    name="passingloop",
    node={"_target_": "hydra_plugins.passingloop_launcher.SweepLauncher"},
    provider="passingloop",
)


class SweepLauncher(Launcher):
    """Composes the points of a sweep and gives each to the task function, which collects them.

    They are checked together and launched together: a mistake in the last is found before the first one trains.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        for overrides in job_overrides:
            point = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            self._task(OmegaConf.masked_copy(point, [str(key) for key in point if key != "hydra"]))
        return [JobReturn(status=JobStatus.COMPLETED)]
