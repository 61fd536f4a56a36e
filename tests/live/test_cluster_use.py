"""GPUs by state and by QOS."""

from __future__ import annotations

import pytest

from passingloop.live.cluster_use import OTHERS, ClusterUse, QosUse, cluster_use, rest_state
from tests.live.shown import job, node


@pytest.mark.parametrize(
    ("state", "rest"),
    [
        ("IDLE", "idle"),
        ("MIXED", "idle"),
        ("ALLOCATED", "idle"),
        ("IDLE+PLANNED", "idle"),
        ("IDLE+CLOUD+POWERED_DOWN", "idle"),
        ("IDLE+DRAIN", "drained"),
        ("MIXED+DRAIN", "drained"),
        ("DOWN+DRAIN", "down"),
        ("DOWN", "down"),
        ("DOWN*+DRAIN", "down"),
        ("IDLE+NOT_RESPONDING", "down"),
        ("IDLE+FAIL", "down"),
        ("IDLE+RESERVED", "reserved"),
        ("MIXED+MAINTENANCE", "reserved"),
        ("IDLE+MAINT+DRAIN", "drained"),
        ("UNKNOWN*", "down"),
    ],
)
def test_what_no_job_has_on_a_node(state: str, rest: str) -> None:
    assert rest_state(node(state=state)) == rest


def by_state(use: ClusterUse) -> dict[str, int]:
    return {state: count for state, count in use.by_state.items() if count}


def test_gpus_are_counted_once() -> None:
    use = cluster_use(
        [
            node("n1", "MIXED", 8, 6),
            node("n2", "MIXED+DRAIN", 8, 2),
            node("n3", "DOWN", 8, 8),
            node("n4", "IDLE+RESERVED", 4, 1),
            node("n5", "FUTURE", 8),
        ],
        [],
        8,
    )
    assert by_state(use) == {"in use": 9, "idle": 2, "drained": 6, "down": 8, "reserved": 3}
    assert (use.unit, use.total, use.nodes, use.nodes_out) == ("GPU", 28, 4, 2)


def test_a_cluster_without_gpus_is_shown_by_its_cpus() -> None:
    use = cluster_use([node("n1", "MIXED", 0, cpus=16, cpus_held=4)], [job(1, gpus=0)], 8)
    assert (use.unit, by_state(use), use.by_qos) == (
        "CPU",
        {"in use": 4, "idle": 12},
        (QosUse(name="production", held=4),),
    )
    assert cluster_use([], [], 8).total == 0


def test_qos_with_what_runs_and_what_waits() -> None:
    jobs = [
        job(1, gpus=4),
        job(2, qos="scavenger", gpus=8),
        job(3, "COMPLETED", gpus=99),
        job(4, "PENDING", gpus=2, job_id="4_[0-9%2]", array_id="4"),
        job(5, "PENDING", qos="", gpus=1),
        job(6, "PENDING", qos="interactive", gpus=0),
    ]
    use = cluster_use([node(held=8), node("n2", held=4)], jobs, 8)
    assert use.by_qos == (
        QosUse(name="scavenger", held=8),
        QosUse(name="production", held=4, waiting_jobs=10, asked=20),
        QosUse(name="no QOS", waiting_jobs=1, asked=1),
        QosUse(name="interactive", waiting_jobs=1),
    )


def test_own_jobs_are_all_that_run_whatever_they_are() -> None:
    jobs = [job(1, gpus=1, uid=8), job(2, gpus=2, uid=8), job(3, "PENDING", gpus=4, uid=8), job(4, gpus=1)]
    assert cluster_use([node(held=4)], jobs, 8).own == 3


def test_jobs_that_the_site_hides_are_a_remainder() -> None:
    use = cluster_use([node(held=8)], [job(1, gpus=3)], 8)
    assert [(each.name, each.held) for each in use.by_qos] == [("production", 3), (OTHERS, 5)]
