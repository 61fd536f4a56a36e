"""Advice in ``status``."""

from __future__ import annotations

import json

from passingloop.cli.run_advice import advice_lines
from passingloop.rundir import ledger
from tests.cli.conftest import Verb
from tests.cli.made import Runs

SAID = (
    "failed 3 times, which cost 100 % of its time: passingloop logs shows why, and retry.crash=0 keeps it from being "
    "tried again"
)


def crashed(runs: Runs) -> str:
    run = runs.new("name=broken")
    for _ in range(3):
        runs.start(run)
        attempt = ledger.read(run).next_attempt - 1
        seconds = ledger.Seconds(starting=1.0)
        ledger.append(run, ledger.End(attempt=attempt, end_step=0, cause="crash", message="no", seconds=seconds))
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
