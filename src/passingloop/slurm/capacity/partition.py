"""The cluster's partitions and the resources of their nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.slurm.command import field_value
from passingloop.slurm.notation import seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """The resources of one node that jobs may use."""

    cpus: int
    mem: int
    """Megabytes."""
    gpus: int
    gpu_kinds: tuple[str, ...] = ()
    """Their types in Slurm, such as ``a100`` or a MIG profile such as ``1g.10gb``; empty where they have none."""
    shards: int = 0
    """Parts of its GPUs (gres/shard) that jobs may ask for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """A partition and its limits. None means no limit, or that everybody may use it."""

    name: str
    default: bool
    hidden: bool
    open: bool
    """Whether it accepts jobs. A partition that is down accepts them, and they wait until it is up."""
    max_time: float | None
    """Seconds."""
    min_nodes: int
    max_nodes: int | None
    max_cpus: int | None
    """Per node, as `max_mem`, which is in megabytes."""
    max_mem: int | None
    cpus_per_gpu: int | None
    """The default CPUs per GPU, if the site sets them."""
    accounts: tuple[str, ...] | None
    """The accounts that may use it."""
    accounts_denied: tuple[str, ...]
    qos: tuple[str, ...] | None
    qos_denied: tuple[str, ...]
    own_qos: str | None
    """The QOS whose limits apply to all jobs in it."""
    nodes: tuple[Node, ...]
    nodes_in_all: int
    """The number of its nodes. More than `nodes` has where some are hidden, such as powered-off cloud nodes."""


def read_partitions(partitions: str, nodes: str) -> dict[str, Partition]:
    """Parse the output of ``scontrol --all --oneliner show partition`` and ``… show node``; by name."""
    members: dict[str, list[Node]] = {}
    for line in nodes.split("\n"):
        if line.startswith("NodeName="):
            node = _node(line)
            for name in _names(line, "Partitions"):
                members.setdefault(name, []).append(node)
    read_partitions = (
        _partition(line, members) for line in partitions.split("\n") if line.startswith("PartitionName=")
    )
    return {partition.name: partition for partition in read_partitions}


def _node(line: str) -> Node:
    return Node(
        cpus=_number(line, "CPUEfctv")
        or _number(line, "CPUTot")
        or 1,  # CPUEfctv leaves out those reserved for the system
        mem=(_number(line, "RealMemory") or 0) - (_number(line, "MemSpecLimit") or 0),
        gpus=gres_count(field_value(line, "Gres")),
        gpu_kinds=gpu_kinds(field_value(line, "Gres")),
        shards=gres_count(field_value(line, "Gres"), "shard"),
    )


def gres_count(gres: str, name: str = "gpu") -> int:
    """How many there are of a resource in a Gres field such as ``gpu:a100:4(S:0,1),shard:8``."""
    return sum(int(part[-1]) if part[-1].isdigit() else 1 for part in _gres_parts(gres) if part[0] == name)


def gpu_kinds(gres: str) -> tuple[str, ...]:
    """The types of GPUs in a Gres field; none for those that have a number only."""
    return tuple(part[1] for part in _gres_parts(gres) if part[0] == "gpu" and len(part) > 1 and not part[1].isdigit())


def _gres_parts(gres: str) -> list[list[str]]:
    return [part.split(":") for part in re.sub(r"\([^)]*\)", "", gres).split(",")]


def _partition(line: str, members: Mapping[str, list[Node]]) -> Partition:
    name = field_value(line, "PartitionName")
    return Partition(
        name=name,
        default=field_value(line, "Default") == "YES",
        hidden=field_value(line, "Hidden") == "YES",
        open=field_value(line, "State") in ("UP", "DOWN"),
        max_time=seconds(field_value(line, "MaxTime")),
        min_nodes=_number(line, "MinNodes") or 0,
        max_nodes=_number(line, "MaxNodes"),
        max_cpus=_number(line, "MaxCPUsPerNode"),
        max_mem=_number(line, "MaxMemPerNode"),
        cpus_per_gpu=_number(field_value(line, "JobDefaults").replace(",", " "), "DefCpuPerGPU"),
        accounts=_allowed_names(line, "AllowAccounts"),
        accounts_denied=_names(line, "DenyAccounts"),
        qos=_allowed_names(line, "AllowQos"),
        qos_denied=_names(line, "DenyQos"),
        own_qos=None if field_value(line, "QoS") in ("", "N/A") else field_value(line, "QoS"),
        nodes=tuple(members.get(name, ())),
        nodes_in_all=_number(line, "TotalNodes") or 0,
    )


def _names(line: str, key: str) -> tuple[str, ...]:
    return tuple(name for name in field_value(line, key).split(",") if name not in ("", "(null)"))


def _allowed_names(line: str, key: str) -> tuple[str, ...] | None:
    names = _names(line, key)
    return None if names in ((), ("ALL",)) else names


def _number(line: str, key: str) -> int | None:
    text = field_value(line, key)
    return int(text) if text.isdigit() else None
