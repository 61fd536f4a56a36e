"""Partitions and nodes, read from what scontrol prints."""

from __future__ import annotations

import pytest

from passingloop.slurm.capacity.partition import Node, gpu_kinds, gres_count
from tests.slurm.site import FACTS


def test_nodes_are_read_without_what_the_system_keeps() -> None:
    [main] = FACTS.named_partitions(None)
    assert main.nodes == (
        Node(cpus=62, mem=500000, gpus=4, gpu_kinds=("a100",), shards=8),
        Node(cpus=32, mem=256000, gpus=2, gpu_kinds=("v100", "t4")),
        Node(cpus=16, mem=64000, gpus=0),
    )
    [cloud] = FACTS.named_partitions("cloud")
    assert [node.gpus for node in cloud.nodes] == [1]


@pytest.mark.parametrize(
    ("gres", "count", "kinds", "shards"),
    [
        ("(null)", 0, (), 0),
        ("gpu", 1, (), 0),
        ("gpu:4(S:0,1)", 4, (), 0),
        ("gpu:a100:4(S:0,1),shard:a100:16(S:0,1)", 4, ("a100",), 16),
        ("gpu:1g.10gb:7,gpu:3g.40gb:2", 9, ("1g.10gb", "3g.40gb"), 0),
    ],
)
def test_gpus_types_and_shards_of_a_node(gres: str, count: int, kinds: tuple[str, ...], shards: int) -> None:
    assert (gres_count(gres), gpu_kinds(gres), gres_count(gres, "shard")) == (count, kinds, shards)
