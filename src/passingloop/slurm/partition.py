"""The parts of a cluster: partitions, and what their nodes have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from passingloop.slurm.command import value
from passingloop.slurm.notation import seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What jobs may use of one node."""

    cpus: int
    mem: int
    """Megabytes."""
    gpus: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """A part of the nodes, and who may use it for how long. None is no limit, or everybody."""

    name: str
    default: bool
    hidden: bool
    open: bool
    """Whether it takes jobs. One that is down does: they wait until it is up."""
    max_time: float | None
    """Seconds."""
    min_nodes: int
    max_nodes: int | None
    max_cpus: int | None
    """Per node; likewise `max_mem`, in megabytes."""
    max_mem: int | None
    cpus_per_gpu: int | None
    """What the site gives a job with GPUs, where it says so."""
    accounts: tuple[str, ...] | None
    """Those that may use it."""
    accounts_denied: tuple[str, ...]
    qos: tuple[str, ...] | None
    qos_denied: tuple[str, ...]
    own_qos: str | None
    """The QOS whose limits hold for all jobs in it."""
    nodes: tuple[Node, ...]
    nodes_in_all: int
    """More than there are in `nodes` where some are hidden, such as those of a cloud that are switched off."""


def read(partitions: str, nodes: str) -> dict[str, Partition]:
    """From what ``scontrol --all --oneliner show`` prints of partitions and nodes."""
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
        cpus=_number(line, "CPUEfctv") or _number(line, "CPUTot") or 1,  # without those kept for the system
        mem=(_number(line, "RealMemory") or 0) - (_number(line, "MemSpecLimit") or 0),
        gpus=_gpus(value(line, "Gres")),
    )


def _gpus(gres: str) -> int:
    """Those in ``gpu:a100:4(S:0,1),shard:8``."""
    parts = [part.split(":") for part in re.sub(r"\([^)]*\)", "", gres).split(",")]
    return sum(int(part[-1]) if part[-1].isdigit() else 1 for part in parts if part[0] == "gpu")


def _partition(line: str, members: Mapping[str, list[Node]]) -> Partition:
    name = value(line, "PartitionName")
    return Partition(
        name=name,
        default=value(line, "Default") == "YES",
        hidden=value(line, "Hidden") == "YES",
        open=value(line, "State") in ("UP", "DOWN"),
        max_time=seconds(value(line, "MaxTime")),
        min_nodes=_number(line, "MinNodes") or 0,
        max_nodes=_number(line, "MaxNodes"),
        max_cpus=_number(line, "MaxCPUsPerNode"),
        max_mem=_number(line, "MaxMemPerNode"),
        cpus_per_gpu=_number(value(line, "JobDefaults").replace(",", " "), "DefCpuPerGPU"),
        accounts=_only(line, "AllowAccounts"),
        accounts_denied=_names(line, "DenyAccounts"),
        qos=_only(line, "AllowQos"),
        qos_denied=_names(line, "DenyQos"),
        own_qos=None if value(line, "QoS") in ("", "N/A") else value(line, "QoS"),
        nodes=tuple(members.get(name, ())),
        nodes_in_all=_number(line, "TotalNodes") or 0,
    )


def _names(line: str, key: str) -> tuple[str, ...]:
    return tuple(name for name in value(line, key).split(",") if name not in ("", "(null)"))


def _only(line: str, key: str) -> tuple[str, ...] | None:
    names = _names(line, key)
    return None if names in ((), ("ALL",)) else names


def _number(line: str, key: str) -> int | None:
    told = value(line, key)
    return int(told) if told.isdigit() else None
