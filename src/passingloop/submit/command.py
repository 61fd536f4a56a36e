"""Handing runs to Slurm: what ``train`` and ``rerun`` have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.data.cache import index
from passingloop.slurm.facts import facts


def submit(configs: Sequence[RunConfig], size: Callable[[DataConfig], int | None] = lambda _: None) -> int:
    """Submit what is missing of `configs`; the directories of all on stdout. Returns the exit code.

    Args:
        size: about how many bytes a database, bucket or hub has for a run, where that is known.

    Raises:
        ConfigError: the cluster would not run one of them, or sbatch refused; what is submitted stays so.
        MissingError: Slurm is not here, or does not answer.
    """
    with ThreadPoolExecutor(1) as other:
        known = other.submit(facts)  # 15 ms of waiting for Slurm, in which submitit is imported
        from passingloop.submit import runs
        from passingloop.submit.preparation import Work

    sizes: dict[str, int | None] = {}

    def estimate(config: RunConfig, cpus: int) -> Work:
        noted = index.digest(config)
        if noted not in sizes:
            sizes[noted] = 0 if index.is_prepared(config, noted) else index.size_of(config, size)
        return Work(key=noted, seconds=index.preparing_seconds(sizes[noted], cpus))

    return runs.submit(configs, known.result(), estimate, functools.partial(print, flush=True))
