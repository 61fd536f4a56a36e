"""The nodes of a replay: as asked for, as the policy file names them, or as the cluster has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.errors import ConfigError, SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.policy.entities import Policy
from passingloop.simulation.replay.private_cluster import Node
from passingloop.slurm.command import field_value, run_command
from passingloop.slurm.notation import node_names

GPUS = 8
CPUS_PER_GPU = 16
CPUS = 64
"""Of a node without GPUs."""
MOST = 500
"""Nodes of which one machine can run the daemons."""

GRES = re.compile(r"gpu(?::[A-Za-z][\w.-]*)?:(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayNodes:
    """The nodes n1, n2, … of a replay, and what the policy calls them."""

    nodes: tuple[Node, ...]
    names: tuple[str, ...] = ()


def replay_nodes(policy: Policy, count: int | None, gpus: int | None, cpus: int | None) -> ReplayNodes:
    """The nodes to replay on.

    Args:
        count: of nodes that are asked for, with `gpus` and `cpus` each; None to take the file's or the cluster's.

    Raises:
        ConfigError: none are asked for, and neither the file nor a cluster has any; or there are too many.
    """
    if count:
        each = GPUS if gpus is None else gpus
        return ReplayNodes(nodes=(Node(gpus=each, cpus=cpus or CPUS_PER_GPU * each),) * count)
    if gpus or cpus:
        raise ConfigError("You set --gpus or --cpus, but not --nodes. Say how many nodes: --nodes 64 --gpus 8.")
    found = list(_nodes_of_policy(policy)) or list(_nodes_of_cluster())
    if not found:
        raise ConfigError(
            f"{policy.file} names no nodes with GPUs, and there is no cluster here to take them from. Say how many: "
            "--nodes 64 --gpus 8."
        )
    if len(found) > MOST:
        raise ConfigError(f"There are {len(found)} nodes, but one machine can replay {MOST}. Set --nodes and --gpus.")
    return ReplayNodes(nodes=tuple(node for _, node in found), names=tuple(name for name, _ in found))


def _nodes_of_policy(policy: Policy) -> Iterator[tuple[str, Node]]:
    for names, keys in policy.nodes.items():
        gpus = gpu_count(keys.get("gres", ""))
        if gpus:
            yield from ((name, Node(gpus=gpus, cpus=CPUS_PER_GPU * gpus)) for name in node_names(names))


def _nodes_of_cluster() -> Iterator[tuple[str, Node]]:
    """None if there is no cluster."""
    try:
        lines = run_command("scontrol", "--all", "--oneliner", "show", "node").splitlines()
    except (SlurmMissing, SlurmSilent, SlurmRefused):
        return
    for line in lines:
        name, gpus, cpus = field_value(line, "NodeName"), field_value(line, "Gres"), field_value(line, "CPUTot")
        if name:
            yield name, Node(gpus=gpu_count(gpus), cpus=int(cpus or CPUS))


def gpu_count(gres: str) -> int:
    """The GPUs of ``gpu:h100:8(S:0-1),shard:32``, of all types together."""
    return sum(int(count) for count in GRES.findall(gres))
