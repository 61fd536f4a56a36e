"""What waiting jobs ask for, and what they leave."""

from __future__ import annotations

import pytest

from passingloop.slurm.waiting.leftover import COLUMNS, Demand, read_demands, remaining_gpus


def row(priority: int, nodes: str, limit: str, tres: str, reason: str) -> str:
    return "".join(
        text.ljust(width)
        for text, width in zip((str(priority), nodes, limit, tres, reason), COLUMNS.values(), strict=True)
    )


def test_jobs_before_this_one_that_wait_for_a_place_only() -> None:
    text = "\n".join(
        [
            row(15312, "1", "20:00", "cpu=1,mem=1000M,node=1,billing=1,gres/gpu=2", "Resources"),
            row(15312, "2", "1-00:00:00", "cpu=8,node=2,gres/gpu=8,gres/gpu:a100=8", "Priority"),
            row(15312, "1-4", "UNLIMITED", "cpu=1,node=1,billing=1", "None"),
            row(15312, "1", "20:00", "cpu=1,node=1,gres/gpu=2", "JobHeldUser"),
            row(15312, "1", "20:00", "cpu=1,node=1,gres/gpu=2", "QOSMaxGRESPerUser"),
            row(312, "1", "20:00", "cpu=1,node=1,gres/gpu=2", "Priority"),
        ]
    )
    assert list(read_demands(text, 312)) == [Demand(1, 2, 1200.0), Demand(2, 4, 86400.0), Demand(1, 0, None)]
    assert list(read_demands("", 312)) == []


@pytest.mark.parametrize(
    ("free", "demands", "left"),
    [
        ({"a": 8}, [], {"a": 8}),
        ({"a": 8}, [(1, 2)], {"a": 6}),
        ({"a": 8, "b": 8}, [(1, 8)], {"a": 0, "b": 8}),
        ({"a": 2, "b": 8}, [(1, 2)], {"a": 0, "b": 8}),  # where it fits most closely
        ({"a": 2, "b": 2}, [(2, 2)], {"a": 0, "b": 0}),
        ({"a": 4}, [(1, 8)], {"a": 0}),  # waits for more than these
        ({"a": 4, "b": 3}, [(3, 4)], {"a": 0, "b": 0}),
        ({"a": 4}, [(1, 1), (1, 2), (1, 4)], {"a": 0}),
        ({"a": 4}, [(1, 0)], {"a": 4}),
        ({}, [(1, 1)], {}),
    ],
)
def test_what_they_leave(free: dict[str, int], demands: list[tuple[int, int]], left: dict[str, int]) -> None:
    assert remaining_gpus(free, [Demand(nodes, gpus, None) for nodes, gpus in demands]) == left
