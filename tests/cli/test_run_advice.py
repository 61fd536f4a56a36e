"""Advice in ``status``."""

from __future__ import annotations

import json

from passingloop.cli.run_advice import advice_lines
from passingloop.rundir import ledger
from passingloop.rundir.events import End, Seconds
from passingloop.rundir.record import iso_time
from tests.cli.conftest import Verb
from tests.cli.made import Runs

SAID = (
    "failed 3 times, which cost 100 % of its time: passingloop logs shows why, and retry.crash=0 keeps it from being "
    "tried again"
)

BEGAN = 1_795_953_600.0
"""29 November 2026, 12:00 UTC."""


def crashed(runs: Runs) -> str:
    run = runs.new("name=broken")
    for attempt in (1, 2, 3):
        runs.start(run, time=iso_time(BEGAN + 60 * attempt))
        end = End(
            attempt=attempt,
            end_step=0,
            cause="crash",
            message="no",
            seconds=Seconds(starting=30.0),
            time=iso_time(BEGAN + 60 * attempt + 30),
        )
        ledger.append(run, end)
    return run.path.name


def test_a_run_that_is_named_and_has_ended_gets_advice(verb: Verb, runs: Runs) -> None:
    signature = crashed(runs)
    [row] = json.loads(verb("status", "broken", "--json").stdout)
    assert row["advice"] == [SAID]
    assert list(advice_lines([row], 80)) == [
        f"broken/{signature}",
        "  - failed 3 times, which cost 100 % of its time: passingloop logs shows why,",
        "    and retry.crash=0 keeps it from being tried again",
    ]


def test_others_get_none(verb: Verb, runs: Runs) -> None:
    crashed(runs)
    [row] = json.loads(verb("status", "--json").stdout)
    assert "advice" not in row
    runs.new("name=never")
    [row] = json.loads(verb("status", "never", "--json").stdout)
    assert row["advice"] == []
    broken = runs.start(runs.new("name=damaged"))
    runs.end(broken, "crash")
    broken.launch(1).write_text("{")
    [row] = json.loads(verb("status", "damaged", "--json").stdout)
    assert row["advice"] == []
