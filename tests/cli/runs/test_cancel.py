"""``passingloop cancel``, and ``wait`` for what it leaves."""

from __future__ import annotations

import json

import pytest

from passingloop.cli.runs import cancel
from passingloop.rundir import ledger
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs, table


def test_a_run_here_is_told_to_stop(verb: Verb, runs: Runs, hold: Hold) -> None:
    run, done = runs.start(runs.new("name=a")), runs.completed("name=b")
    process = hold(run)
    assert table(verb("status", "a"))[f"a/{run.path.name}"][0] == "running"
    cancelled = verb("cancel", "a", "b")
    assert (cancelled.code, cancelled.stdout) == (0, f"{run.path}\n")
    assert f"Told process {process.pid}" in cancelled.stderr
    process.wait(60)
    assert [event.event for event in ledger.read(run).events] == ["start", "cancel", "end"]
    assert len(ledger.read(done).events) == 2, "what is done is left alone"
    waited = verb("wait", "a", "b", "--json")
    assert waited.code == 1
    assert [row["state"] for row in json.loads(waited.stdout)] == ["cancelled", "completed"]
    assert f"a/{run.path.name} is cancelled" in waited.stderr
    assert verb("wait", "b").code == 0
    assert "nothing to cancel" in verb("cancel").stderr


def test_a_run_out_of_reach_goes_on(verb: Verb, runs: Runs, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one machine here: that the process is on another is made up."""
    run = runs.start(runs.new("name=a"))
    process = hold(run)
    monkeypatch.setattr(cancel, "local_processes", lambda _: [])
    done = verb("cancel", "a")
    assert (done.code, done.stdout) == (1, "")
    assert f"process {process.pid} on " in done.stderr
    assert len(ledger.read(run).events) == 1, "it is not marked"


def test_a_run_that_has_paused_does_not_go_on(verb: Verb, runs: Runs) -> None:
    run = runs.end(runs.start(runs.new("name=a")), "paused")
    assert verb("wait", "a").code == 0
    assert table(verb("status", "a"))[f"a/{run.path.name}"][0] == "paused"
    done = verb("cancel", "a")
    assert (done.code, done.stdout) == (0, f"{run.path}\n")
    assert "has paused, and does not go on" in done.stderr
    assert table(verb("status", "a"))[f"a/{run.path.name}"][0] == "cancelled"
    assert verb("wait", "a").code == 1
