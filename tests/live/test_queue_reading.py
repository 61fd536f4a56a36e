"""How often Slurm is asked, and what is read from its answer."""

from __future__ import annotations

import pytest

from passingloop.live.queue_reading import QUESTION, pause, read_queue_and_nodes
from tests.slurm.waiting.shown import NODES, PENDING, RUNNING, queue


@pytest.mark.parametrize(
    ("poll_seconds", "interval", "shared", "untouched", "seconds"),
    [
        (5.0, 2.0, True, 0.0, 5.0),
        (60.0, 2.0, True, 0.0, 60.0),
        (5.0, 20.0, True, 0.0, 20.0),
        (5.0, 2.0, False, 0.0, 30.0),
        (90.0, 2.0, False, 0.0, 90.0),
        (5.0, 2.0, True, 601.0, 60.0),
        (5.0, 2.0, False, 601.0, 60.0),
        (90.0, 2.0, True, 9999.0, 90.0),
    ],
)
def test_how_often_slurm_is_asked(
    poll_seconds: float, interval: float, shared: bool, untouched: float, seconds: float
) -> None:
    assert pause(poll_seconds, interval, shared=shared, untouched=untouched) == seconds


def test_jobs_and_nodes_in_one_answer() -> None:
    found = read_queue_and_nodes([queue(PENDING, RUNNING), NODES])
    assert [job.job_id for job in found.jobs] == ["4_[7-9%2]", "4_0"]
    assert [node.name for node in found.nodes] == ["n1", "n4", "n5", "n6"]


def test_two_commands_and_no_more() -> None:
    assert [command[0] for command in QUESTION.commands] == ["squeue", "scontrol"]
