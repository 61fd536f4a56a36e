"""The queue of all users, read from what squeue prints."""

from __future__ import annotations

import pytest

from passingloop.slurm.waiting.queue_table import chosen_jobs, read_queue, read_tres
from tests.slurm.waiting.shown import PENDING, RUNNING, queue


def test_a_waiting_array_is_one_record() -> None:
    [job] = read_queue(queue(PENDING))
    assert (job.number, job.array_id, job.tasks, job.partitions) == ("4", "4", 3, ("main", "short"))
    assert (job.reason, job.dependency) == ("ReqNodeNotAvail, UnavailableNodes:n4", "afterok:2(unfulfilled)")
    assert (job.nodes, job.gpus, job.limit) == (2, 4, 2 * 86400)
    assert job.tres["mem"] == 62.5 * 1024
    assert (job.started, job.ends) == (None, None)
    assert (job.waits, job.runs, job.node_names) == (True, False, [])


def test_a_task_that_runs() -> None:
    [job] = read_queue(queue(RUNNING))
    assert (job.job_id, job.tasks, job.node_names) == ("4_0", 1, ["n1", "n2"])
    assert (job.waits, job.runs) == (False, True)
    assert job.ends
    assert job.started
    assert job.ends - job.started == job.limit
    assert (job.dependency, job.reservation, job.licenses, job.features) == ("", "", "", "")


@pytest.mark.parametrize(
    ("asked", "found"),
    [("4", ["4", "5"]), ("4_8", ["4"]), ("4_0", ["5"]), ("4_6", []), ("5", []), ("40", []), ("4_", [])],
)
def test_a_job_is_found_by_its_id(asked: str, found: list[str]) -> None:
    jobs = read_queue(queue(RUNNING, PENDING))
    assert [job.number for job in chosen_jobs(jobs, asked)] == found


def test_an_empty_queue() -> None:
    assert read_queue("") == ()


@pytest.mark.parametrize(
    ("text", "amounts"),
    [("", {}), ("cpu=2,mem=1T", {"cpu": 2, "mem": 1024**2}), ("cpu=N,gres/gpu:a100=3", {"gres/gpu:a100": 3})],
)
def test_amounts(text: str, amounts: dict[str, float]) -> None:
    assert read_tres(text) == amounts
