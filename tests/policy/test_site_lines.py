"""Which lines of the configuration files are in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.policy.site_lines import SiteLine, lines_not_in_force, same_setting
from tests.policy import outputs
from tests.policy.made import policy


def lines(folder: Path, text: str) -> list[SiteLine]:
    return lines_not_in_force(policy(folder, text), outputs.CONFIG, outputs.PARTITIONS, outputs.NODES)


IN_FORCE = """
slurm_conf:
  PreemptType: preempt/qos
  preemptmode: requeue
  JobRequeue: yes
  KillWait: 5
  PriorityDecayHalfLife: 7-0
  PriorityFavorSmall: no
  PriorityUsageResetPeriod: NONE
  PrologFlags: none
  AccountingStorageTRES: gres/gpu
  AccountingStorageEnforce: [qos, limits]
  SchedulerParameters: [preempt_youngest_first, bf_window=4320]
cgroup_conf: {ConstrainRAMSpace: yes}
partitions:
  main: {nodes: "n1,n2", default: yes, max_time: 3-00:00:00, default_time: 1:00:00, priority_tier: 1, state: up}
  short: {nodes: n1, allowed_accounts: all}
nodes:
  n[1-2]: {gres: gpu:2, features: h100, gres_conf: "Name=gpu File=/dev/nvidia[0-1]"}
"""


def test_what_is_in_force_is_not_listed(tmp_path: Path) -> None:
    assert lines(tmp_path, IN_FORCE) == []


NOT_IN_FORCE = {
    "slurm_conf: {KillWait: 60}": ("slurm.conf", "KillWait=60", "KillWait is 5 sec"),
    "slurm_conf: {prologflags: Contain}": ("slurm.conf", "PrologFlags=Contain", "PrologFlags is not set"),
    "slurm_conf: {SchedulerParameters: [bf_continue, bf_window=60]}": (
        "slurm.conf",
        "SchedulerParameters=bf_continue,bf_window=60",
        "SchedulerParameters is bf_interval=2,",
    ),
    "slurm_conf: {PreemptTyp: preempt/qos}": (
        "slurm.conf",
        "PreemptTyp=preempt/qos",
        "scontrol show config has no PreemptTyp; did you mean PreemptType?",
    ),
    "cgroup_conf: {ConstrainDevices: yes}": ("cgroup.conf", "ConstrainDevices=yes", "ConstrainDevices is no"),
    "partitions: {big: {nodes: n1}}": ("slurm.conf", "PartitionName=big Nodes=n1", "there is no partition big"),
    "partitions: {main: {nodes: n1, max_time: 1-00}}": (
        "slurm.conf",
        "PartitionName=main Nodes=n1 MaxTime=1-00:00:00",
        "nodes is n[1-2], max_time is 3-00:00:00",
    ),
    "partitions: {main: {denied_qos: scavenger, qos: production}}": (
        "slurm.conf",
        "PartitionName=main DenyQos=scavenger QOS=production",
        "denied_qos is not set, qos is N/A",
    ),
    "nodes: {'n[1-3]': {gres: gpu:2}}": ("slurm.conf", "NodeName=n[1-3] … Gres=gpu:2", "n3 does not exist"),
    "nodes: {n1: {gres: 'gpu:h100:8'}}": ("slurm.conf", "NodeName=n1 … Gres=gpu:h100:8", "n1 has Gres=gpu:2"),
    "nodes: {n1: {features: a100}}": ("slurm.conf", "NodeName=n1 … Features=a100", "n1 has Features=h100,ib"),
}


@pytest.mark.parametrize("text", NOT_IN_FORCE)
def test_what_is_not_in_force_is_listed_with_what_is(tmp_path: Path, text: str) -> None:
    file, line, found = NOT_IN_FORCE[text]
    [one] = lines(tmp_path, text + "\n")
    assert (one.file, one.text) == (file, line)
    assert one.found.startswith(found)


def test_the_line_of_gres_conf_comes_with_the_nodes(tmp_path: Path) -> None:
    found = lines(tmp_path, "nodes: {n1: {gres: gpu:4, gres_conf: 'Name=gpu File=/dev/nvidia[0-3]'}}\n")
    assert [(line.file, line.text) for line in found] == [
        ("slurm.conf", "NodeName=n1 … Gres=gpu:4"),
        ("gres.conf", "NodeName=n1 Name=gpu File=/dev/nvidia[0-3]"),
    ]


def test_a_cluster_that_shows_no_cgroup_settings(tmp_path: Path) -> None:
    config = outputs.CONFIG.partition("Cgroup Support")[0]
    [line] = lines_not_in_force(policy(tmp_path, "cgroup_conf: {ConstrainCores: yes}\n"), config, "", "")
    assert line.found == "scontrol show config has nothing of cgroup.conf"


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("60", "60 sec", True),
        ("0:15:00", "00:15:00", True),
        ("7-0", "7-00:00:00", True),
        ("7-0", "14-00:00:00", False),
        ("CR_Core_Memory", "CR_CORE_MEMORY", True),
        ("bf_window=60", "bf_continue,bf_window=600", False),
        ("", "(null)", True),
        ("1", "YES", True),
        ("no", "1", False),
    ],
)
def test_values_that_mean_the_same(wanted: str, found: str, same: bool) -> None:
    assert same_setting(wanted, found) == same
