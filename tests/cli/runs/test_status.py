"""``passingloop status``: a line for each run, on a terminal and elsewhere, and JSON."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.events import Queued
from tests.cli.conftest import Verb
from tests.cli.made import Runs, table


def test_status_has_a_line_for_each_run(verb: Verb, runs: Runs) -> None:
    done = runs.completed("name=done", "trainer.steps=40")
    crashed = runs.end(runs.start(runs.new("name=broken")), "crash", message="Step 7: the loss is nan.\nLower optim.lr")
    never = runs.new("name=never")
    died = runs.start(runs.new("name=died", "trainer.steps=500", "trainer.epochs=null"))
    rows = [{"step": 9, "split": "validation", "loss": 1.5, "accuracy": "NaN"}, {"step": 11, "split": "train"}]
    lines = [json.dumps({"time": "", "attempt": 1, **row}) for row in rows]
    died.metrics.write_text("\n".join([*lines, '{"step": 1']))
    shown = table(verb("status"))
    assert shown[f"done/{done.path.name}"][:5] == ["completed", "1", "40/40", "accuracy", "0.9124"]
    assert shown[f"never/{never.path.name}"] == ["missing"]
    assert shown[f"died/{died.path.name}"][:5] == ["lost", "1", "11/500", "accuracy", "NaN"]
    assert " ".join(shown[f"broken/{crashed.path.name}"]).endswith(
        "here: crash: Step 7: the loss is nan. Lower optim.lr"
    )
    assert list(shown) == sorted(shown)


def test_status_as_json_has_the_same_keys_for_all(verb: Verb, runs: Runs) -> None:
    done, never = runs.completed("name=a"), runs.new("name=b")
    found = json.loads(verb("status", "--json").stdout)
    assert [row["run"] for row in found] == [str(done.path), str(never.path)]
    assert found[0].keys() == found[1].keys()
    row = found[0]
    assert (row["state"], row["step"], row["attempt"], row["nodes"]) == ("completed", 40, 1, ["here"])
    assert row["metrics"]["test/accuracy"] == 0.91239
    assert datetime.fromisoformat(row["since"]).utcoffset() is not None
    assert (found[1]["state"], found[1]["since"]) == ("missing", None)


def test_a_ledger_of_a_later_version_is_shown(verb: Verb, runs: Runs) -> None:
    run = runs.start(runs.new("name=a"))
    with run.attempts.open("a") as file:
        file.write(
            '{"event": "end", "attempt": 1, "end_step": 3, "cause": "fenced", "message": "Fenced.", '
            '"time": "2026-11-21T08:00:00+00:00"}\n'
        )
    assert table(verb("status"))[f"a/{run.path.name}"][0] == "failed"
    assert "fenced: Fenced." in verb("status").stdout


def test_without_any_runs_it_says_where_it_looked(verb: Verb, work: Path) -> None:
    done = verb("status")
    assert (done.code, done.stdout) == (0, "")
    assert str(work / "runs") in done.stderr
    assert verb("status", "--json", "--run-root", "elsewhere").stdout == "[]\n"


def test_the_run_root_comes_from_the_environment(verb: Verb, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.new("name=a", "run_root=there")
    assert table(verb("status", "--run-root", "there")) == {f"a/{run.path.name}": ["missing"]}
    monkeypatch.setenv("PASSINGLOOP_RUN_ROOT", "there")
    assert table(verb("status")) == {f"a/{run.path.name}": ["missing"]}


def test_jobs_are_shown_as_last_known_where_there_is_no_slurm(verb: Verb, runs: Runs) -> None:
    waits, trains = runs.new("name=waits"), runs.new("name=trains")
    ledger.append(waits, Queued(submission="s", job_id="12"))
    runs.start(trains, launcher="slurm", job_id="13", nodes=["n1"], submission="s")
    found = {row["name"]: row for row in json.loads(verb("status", "--json").stdout)}
    assert [(found[name]["state"], found[name]["confirmed"]) for name in ("waits", "trains")] == [
        ("pending", False),
        ("running", False),
    ]
    assert "not confirmed by Slurm" in verb("status").stdout
    done = verb("cancel")
    assert (done.code, done.stdout) == (3, "")
    assert not any(ledger.read(run).is_cancel_requested for run in (waits, trains))
