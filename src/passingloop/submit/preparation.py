"""Data that are prepared before a run begins, by a job without GPUs that its own job waits for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.data.cache import index
from passingloop.errors import ConfigError
from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.limits import submission_problems
from passingloop.slurm.notation import duration_text, megabytes
from passingloop.text import say

WORTH = 60.0
"""Seconds of preparing for which `cluster.prepare_ahead=auto` makes a job; a queue has its price, too."""

SLOWER, SHORTEST = 10.0, 3600.0
"""The job may take so many times as long as is estimated, and so many seconds in any case."""

MEMORY = "8G"
"""Preparing takes less than 2 GiB, whatever the size of the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """A job that prepares data, to be submitted."""

    key: str
    config: RunConfig
    """Of one of the runs that need them."""
    asked: Request


def preparations(
    requests: Mapping[RunConfig, Request], size: Callable[[DataConfig], int | None], known: Facts
) -> dict[RunConfig, Preparation]:
    """What is to be prepared ahead, by the settings of the runs that need it.

    Args:
        size: about how many bytes a database, bucket or hub has for a run, where that is known.

    Raises:
        ConfigError: the cluster would not run such a job, and it was asked for.
    """
    sizes: dict[str, int | None] = {}
    by_key: dict[str, Preparation | None] = {}
    needed: dict[RunConfig, Preparation] = {}
    for config, asked in requests.items():
        mode = config.cluster.prepare_ahead
        if mode == "never":
            continue
        key = index.config_digest(config)
        if key not in sizes:
            sizes[key] = 0 if index.is_prepared(config, key) else index.data_size(config, size)
        seconds = index.preparation_seconds(sizes[key], (asked.cpus or 1) * asked.tasks)
        if key not in by_key and seconds > (0.0 if mode == "always" else WORTH):
            by_key[key] = _preparation(config, asked, key, seconds, known)
        if preparation := by_key.get(key):
            needed[config] = preparation
    return needed


def _preparation(config: RunConfig, asked: Request, key: str, seconds: float, known: Facts) -> Preparation | None:
    """With a time limit of its own, else with the run's; None where the cluster would run neither."""
    problems: list[str] = []
    for time in (_time(config, asked, seconds, known), asked.time):
        preparation = Preparation(key=key, config=config, asked=_request(config, asked, time))
        problems = submission_problems({preparation.asked: 1}, known)
        if not problems:
            return preparation
    if config.cluster.prepare_ahead == "always":
        raise ConfigError(f"The job that prepares the data would not run. {' '.join(problems)}")
    say(f"The run prepares its data itself, as no job without GPUs could do so: {' '.join(problems)}")
    return None


def _request(config: RunConfig, asked: Request, time: str | None) -> Request:
    """As the run's own, without GPUs: on one node, with as many CPUs as the run has on one."""
    return Request(
        name=f"{asked.name}-data",
        nodes=1,
        gpus=0,
        tasks=1,
        cpus=asked.cpus * asked.tasks if asked.cpus else None,
        mem=min(asked.mem, MEMORY, key=megabytes) if asked.mem else None,
        time=time,
        partition=config.cluster.prepare_partition or asked.partition,
        account=asked.account,
        qos=config.cluster.prepare_qos or asked.qos,
        extra=(),
    )


def _time(config: RunConfig, asked: Request, expected: float, known: Facts) -> str | None:
    """A limit, so that other jobs can be planned around it; it may be longer than the run's."""
    if math.isinf(expected):
        return asked.time
    chosen = known.named_partitions(config.cluster.prepare_partition or asked.partition)
    limits = [partition.max_time for partition in chosen if partition.max_time is not None]
    return duration_text(min([max(SHORTEST, SLOWER * expected), *limits]))


@contextmanager
def named_in_errors() -> Iterator[None]:
    """A ConfigError within it says that the job is meant which prepares the data.

    Raises:
        ConfigError: with what to do about that job.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            f"{error} That is the job that prepares the data: cluster.prepare_partition and cluster.prepare_qos say "
            "where it goes, and cluster.prepare_ahead=never leaves it out."
        ) from error


def with_dependency(asked: Request, job_ids: Sequence[str]) -> Request:
    """The same, to begin when these jobs have completed, and never if one of them has failed.

    Raises:
        ConfigError: `cluster.extra` has a dependency that cannot be combined with that.
    """
    if not job_ids:
        return asked
    extra = dict(asked.extra)
    own = str(extra.pop("dependency", ""))
    if "?" in own:
        raise ConfigError(
            f"You set cluster.extra.dependency={own}, of which any will do, but the run has to wait for its data as "
            "well. Set cluster.prepare_ahead=never."
        )
    dependency = ",".join(filter(None, [own, f"afterok:{':'.join(job_ids)}"]))
    options = {"dependency": dependency, "kill-on-invalid-dep": "yes"}
    return replace(asked, extra=tuple({**extra, **options}.items()))
