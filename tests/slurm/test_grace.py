"""The grace time that a preempted job is given, from what Slurm prints of its QOS or its partition."""

from __future__ import annotations

import pytest

from passingloop.slurm.grace import partition_grace_seconds, qos_grace_seconds

QOS = "scavenger|00:02:00|\nproduction|00:00:00|scavenger,spare\nspare|00:00:00|\n"


@pytest.mark.parametrize(("name", "grace"), [("scavenger", 120.0), ("spare", 0.0), ("production", None), ("no", None)])
def test_the_grace_time_of_a_qos_that_others_preempt(name: str, grace: float | None) -> None:
    assert qos_grace_seconds(name, QOS) == grace


def test_the_grace_time_of_a_partition() -> None:
    assert partition_grace_seconds("PartitionName=spare GraceTime=60 PreemptMode=REQUEUE") == 60
    assert partition_grace_seconds("PartitionName=main GraceTime=0 PreemptMode=OFF") is None
