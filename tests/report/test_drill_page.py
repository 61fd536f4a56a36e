"""What a drill has found: what differs, and what each interruption has cost."""

from __future__ import annotations

from typing import Any

import pytest

from passingloop.report.drill_page import Interruption, differences, interruption_costs, page
from passingloop.rundir.events import End
from passingloop.rundir.ledger import Ledger
from passingloop.track.metrics_file import latest_rows
from tests.rundir.events import start
from tests.runs.conftest import small, tiny  # noqa: F401  # fixtures

RESULT = {"weights_sha256": "aa", "metrics": {"test/loss": 0.5}, "steps": 4, "samples": 8, "tokens": 99}


def row(step: int, attempt: int = 1, loss: float = 1.0, split: str = "train", second: int = 0) -> dict[str, Any]:
    time = f"2026-11-03T09:00:{second:02d}.000Z"
    return {"time": time, "attempt": attempt, "step": step, "split": split, "loss": loss, "samples_per_second": second}


ROWS = [row(1), row(2), row(3), row(4), row(4, split="validation", loss=2.0)]


@pytest.mark.parametrize(
    ("twin", "rows", "said"),
    [
        ({}, ROWS, []),
        ({}, [row(1, second=9), row(2, loss=7.0), row(3, loss=7.0), *(r | {"attempt": 2} for r in ROWS[1:])], []),
        ({"weights_sha256": "bb"}, ROWS, ["the weights"]),
        ({"samples": 9}, ROWS, ["the counts: samples is 9 instead of 8"]),
        ({"metrics": {"test/loss": 0.25}}, ROWS, ["the result: test/loss is 0.25 instead of 0.5"]),
        ({}, [row(1), row(2, loss=1.5), row(3, loss=2.5), *ROWS[3:]], ["step 2 of train: loss is 1.5 instead of 1.0"]),
        ({}, ROWS[1:], ["the metrics: step 1 of train is in one of the runs only"]),
    ],
)
def test_what_differs(twin: dict[str, Any], rows: list[dict[str, Any]], said: list[str]) -> None:
    assert differences(RESULT, RESULT | twin, ROWS, latest_rows(rows)) == said


def test_what_an_interruption_costs() -> None:
    rows = [row(1, second=1), row(2, second=2), row(2, 2, second=9), row(3, 2, second=10), row(3, 3, second=20)]
    starts = [start(attempt, start_step=step) for attempt, step in ((1, 0), (2, 1), (3, 2))]
    ledger = Ledger((*starts, End(attempt=2, end_step=3, cause="crash")))
    begin = 1793696400.0  # 2026-11-03T09:00:00Z
    done = [Interruption(how="kill", attempt=1, time=begin + 3), Interruption(how="signal", attempt=2, time=begin + 11)]
    costs = interruption_costs(done, rows, ledger)
    assert [(cost["step"], cost["lost_steps"], cost["seconds"]) for cost in costs] == [(2, 1, 7.0), (3, 1, None)]
    measured = {"save_s": 1.2, "restart_s": None, "save_every_s": 240.0}
    report = {"exact": False, "steps": 4, "interruptions": costs, "differs": ["the weights"], "measured": measured}
    assert list(page(report)) == [
        "interruption  at step  steps lost  seconds to the next new step",
        "kill          2        1           7.0",
        "signal        3        1           -",
        "not exact: the weights",
        "measured: 1.2 s to save and stop, 240 s between saves without a drill",
    ]
    report |= {"differs": [], "measured": dict.fromkeys(measured)}
    assert list(page(report | {"exact": True}))[-1].startswith("exact: after 4 steps")
    assert list(page(report | {"interruptions": []}))[-1].startswith("nothing is proved")
