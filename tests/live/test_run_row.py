"""What is said of a run, in which order runs come, and which are shown."""

from __future__ import annotations

import math
from typing import Any

import pytest

from passingloop.live.run_row import (
    SORT_KEYS,
    Arrangement,
    Place,
    Progress,
    RunRow,
    arranged,
    counts_text,
)
from tests.live.shown import NOW, half_way, run_row


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, 100.0),
        ({"newest": NOW - 30}, 70.0),
        ({"newest": NOW - 300}, 0.0),
        ({"step": 1000}, 0.0),
        ({"pace": None}, None),
        ({"steps": None}, None),
        ({"newest": NOW + 50}, 100.0),
    ],
)
def test_the_time_left_follows_from_the_pace(changes: dict[str, Any], left: float | None) -> None:
    assert run_row(progress=half_way(**changes)).seconds_left(NOW) == left
    assert run_row("pending", progress=half_way(**changes)).seconds_left(NOW) is None


@pytest.mark.parametrize(
    ("newest", "pace", "quiet"),
    [
        (NOW - 119, 5.0, None),
        (NOW - 121, 5.0, 121.0),
        (NOW - 121, 0.05, None),  # ten steps take 200 s
        (NOW - 300, None, 300.0),
        (None, 5.0, None),
    ],
)
def test_a_run_is_quiet_after_more_time_than_its_steps_take(
    newest: float | None, pace: float | None, quiet: float | None
) -> None:
    row = run_row(progress=half_way(newest=newest, pace=pace))
    assert row.quiet_for(NOW) == quiet


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (run_row(), ""),
        (run_row(attempt_start=None), "starting"),
        (run_row(waits_for="The run is locked.", waits_since=NOW), "waits: The run is locked"),
        (run_row(message="Slurm says COMPLETING."), "Slurm says COMPLETING"),
        (
            run_row("pending", message="jobs of higher priority are before it", place=Place(place=3, of=1041)),
            "place 3 of 1,041: jobs of higher priority are before it",
        ),
        (run_row("pending"), "waits"),
        (run_row("failed", cause="oom", message="Out of memory,\nof the GPU."), "oom: Out of memory, of the GPU"),
        (
            run_row("failed", cause="crash", action="stop", decision_reason="It failed 3 times."),
            "crash: It failed 3 times",
        ),
        (run_row("interrupted", cause="interrupted"), ""),
        (run_row("lost", message="It never began. Slurm says FAILED."), "It never began. Slurm says FAILED"),
        (run_row("completed", progress=Progress(metric=("accuracy", 0.91239))), "accuracy 0.9124"),
        (run_row("completed"), ""),
    ],
)
def test_why_it_waits_or_how_it_ended(row: RunRow, words: str) -> None:
    assert row.standing(NOW) == words


def test_the_expected_start_comes_before_the_reason() -> None:
    row = run_row("pending", message="it is not its turn", expected_start=NOW + 60, place=Place(place=1, of=2))
    assert row.standing(NOW).startswith("place 1 of 2, starts about ")
    assert row.standing(NOW).endswith(": it is not its turn")


ROWS = (
    run_row("completed", "b/1", since=NOW - 10),
    run_row("running", "c/2", progress=half_way(step=900), since=NOW - 60),
    run_row("running", "a/3", progress=half_way(step=100, loss=math.nan), since=NOW - 50),
    run_row("pending", "z/4", place=Place(place=9, of=9), job_id="17", since=NOW - 5),
    run_row("pending", "y/5", place=Place(place=2, of=9), job_id="18_3", reason="QOSMaxGRESPerUser", since=NOW - 6),
    run_row("failed", "x/6", cause="oom"),
)


@pytest.mark.parametrize(
    ("arrangement", "names"),
    [
        (Arrangement(), ["a/3", "c/2", "y/5", "z/4", "x/6", "b/1"]),
        (Arrangement(reverse=True), ["b/1", "x/6", "z/4", "y/5", "c/2", "a/3"]),
        (Arrangement(sort="name"), ["a/3", "b/1", "c/2", "x/6", "y/5", "z/4"]),
        (Arrangement(sort="progress"), ["c/2", "a/3", "b/1", "z/4", "y/5", "x/6"]),
        (Arrangement(sort="left"), ["c/2", "a/3", "b/1", "z/4", "y/5", "x/6"]),
        (Arrangement(sort="left", reverse=True), ["a/3", "c/2", "b/1", "z/4", "y/5", "x/6"]),
        (Arrangement(sort="loss"), ["c/2", "b/1", "a/3", "z/4", "y/5", "x/6"]),
        (Arrangement(sort="since"), ["z/4", "y/5", "b/1", "a/3", "c/2", "x/6"]),
        (Arrangement(active_only=True), ["a/3", "c/2", "y/5", "z/4"]),
        (Arrangement(words="pend 18_3"), ["y/5"]),
        (Arrangement(words="MaxGRES"), ["y/5"]),
        (Arrangement(words="oom"), ["x/6"]),
        (Arrangement(words="nothing like it"), []),
    ],
)
def test_the_order_of_runs_and_which_are_shown(arrangement: Arrangement, names: list[str]) -> None:
    assert [row.name for row in arranged(ROWS, arrangement, NOW)] == names


def test_every_order_comes_round() -> None:
    seen = [Arrangement()]
    while (following := seen[-1].next_sort()).sort != "state":
        seen.append(following)
    assert tuple(each.sort for each in seen) == SORT_KEYS


def test_counts() -> None:
    assert counts_text(ROWS) == "2 running on 4 GPUs, 2 pending, 2 ended"
    assert counts_text([]) == ""
    assert counts_text([run_row("completed")] * 1200) == "1,200 ended"
    assert counts_text([run_row(gpus=None)]) == "1 running"
