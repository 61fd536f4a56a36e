"""Partitions and nodes, read from what scontrol prints."""

from __future__ import annotations

from passingloop.slurm.partition import Node
from tests.slurm.site import FACTS


def test_nodes_are_read_without_what_the_system_keeps() -> None:
    [main] = FACTS.named_partitions(None)
    assert main.nodes == (
        Node(cpus=62, mem=500000, gpus=4, gpu_kinds=("a100",)),
        Node(cpus=32, mem=256000, gpus=2, gpu_kinds=("v100", "t4")),
        Node(cpus=16, mem=64000, gpus=0),
    )
    [cloud] = FACTS.named_partitions("cloud")
    assert [node.gpus for node in cloud.nodes] == [1]
