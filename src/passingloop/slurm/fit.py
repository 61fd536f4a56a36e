"""A request against a partition: who may use it, for how long, and what its nodes have."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from passingloop.slurm.job_request import Request
from passingloop.slurm.partition import Partition
from passingloop.slurm.policy import Qos, megabytes
from passingloop.slurm.times import seconds, words


def misfits(request: Request, partition: Partition, qos: Qos | None) -> Iterator[str]:
    """Why the partition is none for such jobs, with `qos`, which may lift some of its limits; a sentence each."""
    if not partition.open:
        yield f"Partition {partition.name} takes no jobs. Set another cluster.partition, or ask when it will."
    flags = qos.flags if qos else frozenset[str]()
    yield from _size(request, partition, flags)
    asked = seconds(request.time) if request.time else None
    if asked and partition.max_time is not None and asked > partition.max_time and "PartitionTimeLimit" not in flags:
        yield (
            f"You set resources.time={request.time}, but partition {partition.name} allows "
            f"{words(partition.max_time)}. Set resources.time to that or less, or another cluster.partition."
        )
    yield from _admission("account", request.account, partition, partition.accounts, partition.accounts_denied)
    yield from _admission("qos", request.qos, partition, partition.qos, partition.qos_denied)
    yield from _node(request, partition)


def _size(request: Request, partition: Partition, flags: Collection[str]) -> Iterator[str]:
    nodes = f"You set resources.nodes={request.nodes}, but"
    name = f"partition {partition.name}"
    if request.nodes > partition.nodes_in_all > 0:
        yield f"{nodes} {name} has {partition.nodes_in_all}. Set fewer, or another cluster.partition."
    elif partition.max_nodes is not None and request.nodes > partition.max_nodes and "PartitionMaxNodes" not in flags:
        yield f"{nodes} {name} gives a job {partition.max_nodes}. Set fewer, or another cluster.partition."
    if request.nodes < partition.min_nodes and "PartitionMinNodes" not in flags:
        yield f"{nodes} {name} is for jobs of {partition.min_nodes} or more. Set another cluster.partition."


def _admission(
    key: str, value: str | None, partition: Partition, allowed: Collection[str] | None, denied: Collection[str]
) -> Iterator[str]:
    if value is None:
        return
    if allowed is not None and value.lower() not in allowed:
        yield (
            f"You set cluster.{key}={value}, but partition {partition.name} is for {', '.join(allowed)}. "
            "Set one of these, or another cluster.partition."
        )
    elif allowed is None and value.lower() in denied:
        yield f"You set cluster.{key}={value}, but partition {partition.name} does not take it. Set another."


def _node(request: Request, partition: Partition) -> Iterator[str]:
    """What no node of the partition has, if all of them are seen."""
    nodes = partition.nodes
    if not nodes or len(nodes) < partition.nodes_in_all:
        return
    gpus, cpus, mem = (max(values) for values in zip(*((n.gpus, n.cpus, n.mem) for n in nodes), strict=True))
    cpus, mem = min(cpus, partition.max_cpus or cpus), min(mem, partition.max_mem or mem)
    where = f"no node of partition {partition.name} gives more than"
    if request.gpus > gpus:
        spread = "Spread them over resources.nodes." if gpus else "Set another cluster.partition."
        yield f"You set resources.gpus={request.gpus} per node, but {where} {gpus}. {spread}"
    if request.cpus and request.cpus * request.tasks > cpus:
        each = f" for each of {request.tasks} processes" if request.tasks > 1 else ""
        yield f"You set resources.cpus={request.cpus}{each}, but {where} {cpus}. Set fewer."
    if request.mem is not None and megabytes(request.mem) > mem:
        yield f"You set resources.mem={request.mem}, but {where} {mem}M. Set less."
