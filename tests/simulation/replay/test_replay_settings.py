"""Which lines of slurm.conf a policy is replayed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.policy.entities import Policy
from passingloop.policy.policy_file import read_policy_file
from passingloop.simulation.replay.replay_settings import replay_settings


def policy(tmp_path: Path, text: str) -> Policy:
    (tmp_path / "policy.yaml").write_text(text)
    return read_policy_file(tmp_path / "policy.yaml")


def test_what_schedules_is_kept_and_the_rest_said(tmp_path: Path) -> None:
    found = replay_settings(
        policy(
            tmp_path,
            "slurm_conf:\n  PriorityWeightAge: 1000\n  KillWait: 60\n  PrologFlags: Contain\n"
            "  SchedulerParameters: [bf_window=4320, bf_max_time=20]\n  AccountingStorageTRES: gres/gpu\n",
        )
    )
    assert found.settings["PriorityWeightAge"] == "1000"
    assert found.settings["KillWait"] == "60"
    assert "PrologFlags" not in found.settings
    assert found.settings["SchedulerParameters"] == "bf_window=4320,bf_max_time=20,max_sched_time=600"
    assert found.settings["AccountingStorageTRES"] == "gres/gpu"
    assert len(found.notes) == 1
    assert "PrologFlags" in found.notes[0]


@pytest.mark.parametrize("mode", ["SUSPEND", "[SUSPEND, GANG]", "suspend"])
def test_what_cannot_be_replayed_is_refused_with_its_line(tmp_path: Path, mode: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.yaml:2: PreemptMode is .*suspended jobs cannot be replayed"):
        replay_settings(policy(tmp_path, f"slurm_conf:\n  PreemptMode: {mode}\n"))


def test_a_cluster_without_partitions_in_its_policy_has_one(tmp_path: Path) -> None:
    (line,) = replay_settings(policy(tmp_path, "slurm_conf: {KillWait: 60}\n")).partitions
    assert line.split()[:3] == ["PartitionName=main", "Nodes=ALL", "Default=YES"]


def test_partitions_have_the_nodes_that_the_policy_names(tmp_path: Path) -> None:
    text = "partitions:\n  big: {nodes: 'gpu[2-3]', max_time: 4:00:00, default: yes}\n  all: {priority_tier: 2}\n"
    big, rest = replay_settings(policy(tmp_path, text), ["gpu1", "gpu2", "gpu3"]).partitions
    assert {"PartitionName=big", "Nodes=n2,n3", "MaxTime=4:00:00", "Default=YES"} <= set(big.split())
    assert {"Nodes=ALL", "PriorityTier=2"} <= set(rest.split())


def test_a_node_that_the_replay_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.yaml:2: the partition big has the node gpu9"):
        replay_settings(policy(tmp_path, "partitions:\n  big: {nodes: gpu9}\n"), ["gpu1"])
