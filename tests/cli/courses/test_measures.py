"""What a drill measures: how long saving and starting again take, and how far apart the saves of the real run are."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.cli.courses.measures import measured
from passingloop.config.running import CheckpointConfig
from passingloop.report.drill_page import Interruption
from passingloop.rundir.events import End, Event, Seconds
from passingloop.rundir.ledger import Ledger
from passingloop.train.checkpoints.interval import History, interval
from tests.rundir.events import start

BEGIN = 1793696400.0  # 2026-11-03T09:00:00Z


def at(second: int) -> str:
    return f"2026-11-03T09:00:{second:02d}.000Z"


def row(attempt: int, step: int, second: int) -> dict[str, Any]:
    return {"attempt": attempt, "step": step, "split": "train", "time": at(second)}


ROWS = [row(1, 1, 1), row(2, 5, 24), row(2, 6, 25), row(3, 26, 49), row(3, 27, 50)]
EVENTS: list[Event] = [
    start(1, time=at(0)),
    start(2, start_step=4, time=at(10)),
    End(attempt=2, end_step=25, cause="preempted", seconds=Seconds(saving=3.0), time=at(32)),
    start(3, start_step=25, time=at(38)),
]
REST = {"keep": 2, "keep_best": True, "fail_after": 60.0}
DONE = [
    Interruption(how="kill", attempt=1, time=BEGIN + 5),
    Interruption(how="requeue", attempt=2, time=BEGIN + 30),
]


def checkpoint(**fields: Any) -> CheckpointConfig:
    return CheckpointConfig(**{**dict.fromkeys(("every", "every_steps", "every_minutes")), **REST, **fields})


def found(config: CheckpointConfig, done: list[Interruption] = DONE) -> dict[str, float | None]:
    return measured(config, 10, done, ROWS, Ledger(tuple(EVENTS)), step_s=0.5)


def test_medians_over_the_interruptions_that_show_them() -> None:
    assert found(checkpoint(every_minutes=2)) == {"save_s": 2.0, "restart_s": 12.5, "save_every_s": 120.0}
    killed = found(checkpoint(every="auto"), DONE[:1])
    assert killed == {"save_s": None, "restart_s": 14.0, "save_every_s": None}


def test_a_run_that_was_asked_to_stop_and_lost_steps_has_not_saved() -> None:
    lost = End(attempt=2, end_step=25, cause="preempted", seconds=Seconds(lost=1.0), time=at(32))
    events = [lost if isinstance(event, End) else event for event in EVENTS]
    assert measured(checkpoint(), 10, DONE, ROWS, Ledger(tuple(events)), 0.5)["save_s"] is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"every_steps": 1000}, 500.0),
        ({"every_steps": 1000, "every_minutes": 5}, 300.0),
        # Attempt 2 has saved after steps 10 and 20, and at its end, which took 3 s together.
        ({"every": "auto"}, round(interval(1.0, 3.0, History(0.0, 0), 3600.0), 1)),
        ({}, None),
    ],
)
def test_the_interval_is_that_of_the_run_without_a_drill(fields: dict[str, Any], seconds: float | None) -> None:
    assert found(checkpoint(**fields))["save_every_s"] == seconds
