"""From settings to what Slurm is asked for."""

from __future__ import annotations

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import processes
from passingloop.slurm.batch import Request
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.limits import cpus_per_task, has_gpus, shards_per_gpu
from passingloop.submit.sizes import Size, sizes

SETTINGS = {
    "account": "cluster.account",
    "array": "sweep.parallel",
    "cpus-per-task": "resources.cpus",
    "gpus": "resources.gpus",
    "job-name": "name",
    "mem": "resources.mem",
    "nodes": "resources.nodes",
    "ntasks": "resources.tasks",
    "ntasks-per-node": "resources.tasks",
    "partition": "cluster.partition",
    "qos": "cluster.qos",
    "time": "resources.time",
}
"""Options of sbatch with a setting of their own."""

OURS = ("chdir", "error", "export", "open-mode", "output", "parsable", "requeue", "no-requeue", "signal", "test-only")
"""Options of sbatch that have to be as they are for a run to continue after a preemption."""


def request(config: RunConfig, facts: Facts, size: Size | None = None) -> Request:
    """What a job for `config` asks for on a cluster of which `facts` are known.

    Args:
        size: the chosen one of those that a range allows; the smallest unless given.

    Raises:
        ConfigError: an option of `cluster.extra` stands in the way of others, or the processes do not fit the GPUs.
    """
    resources, cluster = config.resources, config.cluster
    size = size or candidates(config, facts)[0]
    gpus = 1 if resources.shards else size.gpus
    tasks = processes(config, gpus)
    cpus = cpus_per_task(facts, cluster.partition, gpus, tasks) if resources.cpus == "auto" else resources.cpus
    if resources.shards and resources.cpus == "auto":
        cpus = max(1, cpus * resources.shards // shards_per_gpu(facts, cluster.partition))
    return Request(
        name=config.name,
        nodes=size.nodes,
        gpus=0 if resources.shards else gpus,
        gpu_type=resources.gpu_type if gpus else None,
        shards=resources.shards or 0,
        tasks=tasks,
        cpus=cpus,
        mem=resources.mem,
        time=resources.time,
        partition=cluster.partition,
        account=cluster.account,
        qos=cluster.qos,
        extra=_extra(config),
    )


def candidates(config: RunConfig, facts: Facts) -> list[Size]:
    """The sizes that `resources` allows, smallest first; one, unless it has ranges."""
    return sizes(config.resources, default_gpus=int(has_gpus(facts, config.cluster.partition)))


def _extra(config: RunConfig) -> tuple[tuple[str, str | int | bool], ...]:
    extra = [(key.replace("_", "-"), value) for key, value in config.cluster.extra.items() if value is not False]
    for key, _ in extra:
        if key in SETTINGS:
            raise ConfigError(f"You set cluster.extra.{key}, which has a setting of its own. Set {SETTINGS[key]}.")
        if key in OURS:
            raise ConfigError(f"You set cluster.extra.{key}, but runs rely on passingloop's own. Leave it out.")
    return tuple(extra)
