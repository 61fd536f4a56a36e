"""What sbatch is told: enough time, a place that exists, and a QOS that the policy has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from passingloop.simulation.replay.job_requests import Limits, limit_minutes, placement, sbatch_arguments
from passingloop.simulation.replay.private_cluster import Node
from passingloop.simulation.trace_jobs import TraceJob

LIMITS = Limits(qos=frozenset({"production", "short"}), longest_s={"short": 3600.0}, default_longest_s=3 * 86400.0)


def job(**changes: object) -> TraceJob:
    given: dict[str, object] = {
        "number": 3,
        "submit_s": 0.0,
        "duration_s": 600.0,
        "gpus": 1,
        "cpus": 4,
        "user": "ada",
        "account": "vision",
    }
    return TraceJob(**(given | changes))  # type: ignore[arg-type]


@given(gpus=st.integers(0, 512), cpus=st.integers(1, 4000), node_gpus=st.integers(1, 16), node_cpus=st.integers(1, 256))
def test_a_job_gets_its_gpus_on_nodes_that_can_exist(gpus: int, cpus: int, node_gpus: int, node_cpus: int) -> None:
    count, each, cores = placement(job(gpus=gpus, cpus=cpus), [Node(gpus=node_gpus, cpus=node_cpus)])
    assert count * each == gpus
    assert each <= node_gpus
    assert 1 <= cores <= max(1, node_cpus)
    if gpus and each:  # jobs that fill a node's GPUs fit beside each other by their CPUs
        assert cores * (node_gpus // each) <= max(node_cpus, node_gpus // each)


def test_the_limit_leaves_room_for_what_the_job_computes() -> None:
    assert limit_minutes(job(duration_s=600.0), LIMITS) == 15
    assert limit_minutes(job(duration_s=600.0, limit_s=7200.0), LIMITS) == 120


def test_nobody_asks_for_more_than_the_qos_allows() -> None:
    """The job saves at its limit and goes on in the next one."""
    assert limit_minutes(job(duration_s=9000.0, qos="short"), LIMITS) == 60
    assert limit_minutes(job(duration_s=9e6), LIMITS) == 3 * 24 * 60


def test_a_job_of_a_qos_that_the_policy_lacks_gets_the_default() -> None:
    assert "--qos=short" in sbatch_arguments(job(qos="short"), "/job.sh", LIMITS, [Node(gpus=8, cpus=64)])
    words = sbatch_arguments(job(qos="other"), "/job.sh", LIMITS, [Node(gpus=8, cpus=64)])
    assert not [word for word in words if word.startswith("--qos")]


def test_a_failure_of_the_trace_is_one_of_the_replay() -> None:
    nodes = [Node(gpus=8, cpus=64)]
    assert sbatch_arguments(job(), "/job.sh", LIMITS, nodes)[-3:] == ["3", "600", "0"]
    assert sbatch_arguments(job(state="failed"), "/job.sh", LIMITS, nodes)[-3:] == ["3", "600", "1"]
