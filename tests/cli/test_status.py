"""``passingloop status``: a line for each run, on a terminal and elsewhere, and JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from passingloop.report import run_table
from passingloop.rundir import ledger
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
    ledger.append(waits, ledger.Queued(submission="s", job_id="12"))
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


ROW = {
    "name": "quickstart",
    "state": "pending",
    "confirmed": True,
    "job_id": "123456_99",
    "attempt": 2,
    "step": 1200,
    "steps": 4000,
    "metrics": {"validation/loss": 0.5, "validation/accuracy": 0.9123},
    "nodes": [],
    "since": "2026-03-02T10:00:00+00:00",
    "expected_start": None,
    "cause": "preempted",
    "message": "jobs of higher priority are before it",
    "action": None,
    "decided": None,
}


@pytest.mark.parametrize("name", ["quick", "a-name-of-" + "64" * 27])
def test_on_a_terminal_nothing_is_wider_than_it(name: str) -> None:
    rows = [{**ROW, "name": name, "signature": f"{number:012x}"} for number in range(3)]
    now = datetime(2026, 3, 2, 11, tzinfo=UTC)
    page = list(run_table.page(rows, now, 84, colour=False))
    assert max(len(line) for line in page) <= 84
    text = "\n".join(page)
    assert text.count("jobs of higher priority are before it") == 3
    assert page[-1] == f"{name}: 3 pending"
    assert "\x1b" not in text
    assert "\x1b[33mpending\x1b[0m" in "\n".join(run_table.page(rows, now, 84, colour=True))
    plain = list(run_table.lines(rows, now))
    assert len(plain) == 4
    assert all(line.startswith(f"{name}/") for line in plain[1:])


@pytest.mark.parametrize(
    ("time", "shown"), [("02T10:00", "10:00"), ("01T10:00", "01 Mar"), (None, "2025-12-31"), ("02T23:30", "02 Mar")]
)
def test_times_are_as_short_as_they_can_be(time: str | None, shown: str) -> None:
    since = f"2026-03-{time}:00+00:00" if time else "2025-12-31T10:00:00+00:00"
    now = datetime(2026, 3, 3 if time == "02T23:30" else 2, 12, tzinfo=UTC)
    [_, line] = run_table.lines([{**ROW, "signature": "0" * 12, "since": since, "message": None}], now)
    assert line.endswith(shown)
