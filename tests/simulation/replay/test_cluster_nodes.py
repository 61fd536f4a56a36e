"""The nodes of a replay: asked for, or those of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.policy.policy_file import read_policy_file
from passingloop.simulation.replay.cluster_nodes import gpu_count, replay_nodes
from passingloop.simulation.replay.private_cluster import Node

NODES = "nodes:\n  n[01-03]: {gres: 'gpu:h100:8'}\n  cpu1: {features: big}\n  old: {gres: 'gpu:a100:4,gpu:t4:2'}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(NODES)
    return tmp_path / "policy.yaml"


def test_those_of_the_file_with_gpus(file: Path) -> None:
    found = replay_nodes(read_policy_file(file), None, None, None)
    assert found.names == ("n01", "n02", "n03", "old")
    assert [node.gpus for node in found.nodes] == [8, 8, 8, 6]


def test_what_is_asked_for_goes_before_the_file(file: Path) -> None:
    found = replay_nodes(read_policy_file(file), 2, 4, 32)
    assert found.nodes == (Node(gpus=4, cpus=32),) * 2
    assert replay_nodes(read_policy_file(file), 1, None, None).nodes[0].gpus == 8


def test_sizes_without_a_number_of_nodes_are_a_mistake(file: Path) -> None:
    with pytest.raises(ConfigError, match="--nodes"):
        replay_nodes(read_policy_file(file), None, 4, None)


def test_neither_file_nor_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "none"))
    (tmp_path / "policy.yaml").write_text("slurm_conf: {KillWait: 60}\n")
    with pytest.raises(ConfigError, match=r"policy\.yaml names no nodes with GPUs.*--nodes 64"):
        replay_nodes(read_policy_file(tmp_path / "policy.yaml"), None, None, None)


@pytest.mark.parametrize(
    ("gres", "count"),
    [
        ("gpu:8", 8),
        ("gpu:h100:8(S:0-1),shard:32", 8),
        ("gpu:a100:4,gpu:t4:2", 6),
        ("(null)", 0),
        ("", 0),
        ("shard:4", 0),
    ],
)
def test_gpus_of_all_types_count(gres: str, count: int) -> None:
    assert gpu_count(gres) == count
