"""Which QOS and partitions are preempted, and how."""

from __future__ import annotations

import pytest

from passingloop.slurm.rules.cluster_rules import ClusterRules
from passingloop.slurm.rules.preemption_rules import Preemptable, partition_preemption, qos_preemption

QOS = """\
spare|00:02:00||requeue
gentle|00:00:00||cluster
immune|00:00:00||off
urgent|00:00:00|spare,gentle,immune|cluster
other|00:00:00|spare|cancel
"""
LINES = """\
PartitionName=main GraceTime=0 PriorityTier=10 PreemptMode=OFF
PartitionName=spare GraceTime=60 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=held GraceTime=60 PriorityTier=1 PreemptMode=OFF
PartitionName=peer GraceTime=0 PriorityTier=10 PreemptMode=REQUEUE
"""


@pytest.mark.parametrize(
    ("of_all", "gentle"), [(("CANCEL",), "CANCEL"), (("GANG", "SUSPEND"), "SUSPEND"), (("REQUEUE",), "REQUEUE")]
)
def test_qos_that_others_preempt(of_all: tuple[str, ...], gentle: str) -> None:
    found = qos_preemption(QOS, ClusterRules(preempt_mode=of_all))
    assert found == {
        "spare": Preemptable(name="spare", mode="REQUEUE", grace=120.0, by=("urgent", "other")),
        "gentle": Preemptable(name="gentle", mode=gentle, grace=0.0, by=("urgent",)),
    }


def test_where_preemption_is_off_only_those_with_a_mode_of_their_own_are() -> None:
    assert list(qos_preemption(QOS, ClusterRules(preempt_mode=("OFF",)))) == ["spare"]
    assert list(qos_preemption(QOS, ClusterRules())) == ["spare"]


def test_partitions_below_others() -> None:
    found = partition_preemption(LINES, ClusterRules(preempt_mode=("REQUEUE",)))
    assert found == {"spare": Preemptable(name="spare", mode="REQUEUE", grace=60.0, by=())}


def test_nothing_at_all() -> None:
    assert qos_preemption("", ClusterRules()) == {}
    assert partition_preemption("", ClusterRules()) == {}
