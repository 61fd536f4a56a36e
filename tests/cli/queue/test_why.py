"""``passingloop why`` on runs that wait for no job, and on a machine without Slurm; see also tests/cluster."""

from __future__ import annotations

import json

from passingloop.rundir import ledger
from passingloop.rundir.events import Wait
from tests.cli.conftest import Verb
from tests.cli.made import Runs


def test_a_run_that_does_not_wait_says_how_it_stands(verb: Verb, runs: Runs) -> None:
    done = runs.completed("name=done")
    runs.end(runs.start(runs.new("name=broken")), "crash", message="Step 7: the loss is nan.")
    shown = verb("why", "done", "broken")
    assert (shown.code, shown.stderr) == (0, "")
    first, second = shown.stdout.split("\n\n")
    assert first == f"done/{done.path.name}\nwhy       It does not wait: it is completed."
    assert second.endswith("It does not wait: it is failed. Step 7: the loss is nan.\n")
    [row] = json.loads(verb("why", "done", "--json").stdout)
    assert (row["runs"], row["job_id"], row["category"]) == ([str(done.path)], None, "ended")


def test_without_words_it_is_about_runs_that_wait(verb: Verb, runs: Runs) -> None:
    runs.completed("name=done")
    shown = verb("why")
    assert (shown.code, shown.stdout, shown.stderr) == (0, "", "None of your runs waits.\n")
    assert json.loads(verb("why", "--json").stdout) == []


def test_a_word_that_names_nothing(verb: Verb, runs: Runs) -> None:
    runs.completed("name=done")
    shown = verb("why", "dnoe")
    assert shown.code == 2
    assert "dnoe is no run" in shown.stderr


def test_a_job_without_slurm(verb: Verb) -> None:
    shown = verb("why", "4711")
    assert shown.code == 3
    assert "There is no squeue here" in shown.stderr


def test_a_run_whose_step_waits_says_for_what(verb: Verb, runs: Runs) -> None:
    """Its job runs, and the ledger has what its processes wait for. Without Slurm the ledger alone counts."""
    run = runs.start(runs.new("name=waits"), launcher="slurm", job_id="7", submission="20261129T080000-a1b2c3")
    assert "It does not wait: attempt 1 is running." in verb("why", "waits").stdout
    ledger.append(run, Wait(attempt=2, reason="Slurm starts no step: the nodes are busy."))
    [row] = json.loads(verb("why", "waits", "--json").stdout)
    assert row["category"] == "running"
    assert row["summary"].startswith("It does not wait in the queue, but it does not train yet; it waits since ")
    assert row["summary"].endswith(": Slurm starts no step: the nodes are busy.")
