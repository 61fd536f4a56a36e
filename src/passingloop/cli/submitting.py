"""Handing runs to Slurm: what ``train`` and ``rerun`` have in common."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from passingloop.config.settings import RunConfig
from passingloop.slurm.facts import facts


def submit(configs: Sequence[RunConfig]) -> int:
    """Submit what is missing of `configs`; the directories of all on stdout. Returns the exit code.

    Raises:
        ConfigError: the cluster would not run one of them, or sbatch refused; what is submitted stays so.
        MissingError: Slurm is not here, or does not answer.
    """
    with ThreadPoolExecutor(1) as other:
        known = other.submit(facts)  # 15 ms of waiting for Slurm, in which submitit is imported
        from passingloop.launch import slurm
    return slurm.submit(configs, known.result(), functools.partial(print, flush=True))
