"""``passingloop list``: runs by condition, order and columns."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from passingloop.cli.collection import list as module
from passingloop.files import append_json_line, read_json, write_json
from passingloop.index import run_marks
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs


@pytest.fixture
def made(runs: Runs) -> dict[str, RunDir]:
    """Four runs: two completed with another accuracy, one failed, one recorded only."""
    best = runs.completed("name=a", "trainer.seed=1", "optim.lr=1e-3")
    other = runs.completed("name=a", "trainer.seed=2", "optim.lr=1e-4")
    write_json(other.result, {"state": "completed", "steps": 40, "metrics": {"test/accuracy": 0.5}})
    a_second_ago = iso_time(time.time() - 1)
    failed = runs.end(runs.start(runs.new("name=b"), gpus=2, time=a_second_ago), "crash", message="no room")
    run_marks.change(best, lambda old: old.with_tags(("good", "v1")).with_note("for the\npaper"))
    return {"best": best, "other": other, "failed": failed, "new": runs.new("name=c")}


def found(verb: Verb, made: dict[str, RunDir], *words: str) -> list[str]:
    """The runs that are listed, by their names above."""
    done = verb("list", "--json", *words)
    assert done.code == 0, done.stderr
    names = {str(run.path): name for name, run in made.items()}
    return [names[row["run"]] for row in json.loads(done.stdout)]


FOUND: list[tuple[list[str], list[str]]] = [
    ([], ["best", "other", "failed", "new"]),
    (["--where", "data.source=stdlib_docs and test/accuracy>0.9"], ["best"]),
    (["--where", "test/accuracy<=0.5 or state=failed"], ["other", "failed"]),
    (["--where", "tag=good"], ["best"]),
    (["--where", "not tag=good"], ["other", "failed", "new"]),
    (["--where", "note~PAPER"], ["best"]),
    (["--where", "optim.lr=0.001"], ["best"]),
    (["--where", "trainer.seed in (2, 3)"], ["other"]),
    (["--where", "state=missing"], ["new"]),
    (["--where", "age<1h and created>2026-01-01 and attempts<1"], ["new"]),
    (["--where", "test/accuracy=null"], ["failed", "new"]),
    (["--where", "metric>0.4"], ["best", "other"]),
    (["--where", "adapter.kind=lora"], []),
    (["--where", "data.limit=null", "--limit", "2"], ["best", "other"]),
    (["--sort", "-test/accuracy"], ["best", "other", "failed", "new"]),
    (["--sort", "test/accuracy"], ["other", "best", "failed", "new"]),
    (["--sort", "-name,trainer.seed"], ["new", "failed", "best", "other"]),
    (["--sort", "tags", "--limit", "1"], ["best"]),
    (["a"], ["best", "other"]),
    (["a", "c", "--where", "trainer.seed=2 or state=missing"], ["other", "new"]),
]


def test_which_runs_in_which_order(verb: Verb, made: dict[str, RunDir]) -> None:
    for words, expected in FOUND:
        assert (words, found(verb, made, *words)) == (words, expected)


def test_a_run_and_its_job_by_the_names_that_people_use(verb: Verb, runs: Runs) -> None:
    made = {"task": runs.end(runs.start(runs.new("name=a"), job_id="3_1"), "crash"), "other": runs.new("name=b")}
    short = made["task"].short_name
    for condition in (f"run={short}", f"run={made['task'].path}", "run~a/*", "job_id=3", "job=3_1"):
        assert found(verb, made, "--where", condition) == ["task"]
    for condition in (f"run!={short}", "job_id!=3", "job_id=null"):
        assert found(verb, made, "--where", condition) == ["other"]


WRONG: list[tuple[list[str], str]] = [
    (["--where", "test/acuracy>0.9"], "Did you mean test/accuracy?"),
    (["--where", "lr=1"], "Did you mean optim.lr?"),
    (["--where", "accuracy>0.9"], "Did you mean test/accuracy?"),
    (["--where", "stat=failed"], "Did you mean state?"),
    (["--sort", "-nmae"], "Did you mean name?"),
    (["--columns", "run,optim.lrr"], "Did you mean optim.lr?"),
    (["--where", "state!=complted"], "Did you mean completed?"),
    (["--where", "user!=nobdy-here"], "nobody of that name"),
    (["--where", "test/accuracy!=abc"], "compare test/accuracy with abc, which is no number"),
    (["--where", "metric<low"], "compare metric with low, which is no number"),
    (["--where", "name="], "a value after = is expected"),
    (["--limit", "0"], "at least one run"),
    (["--json", "--csv"], "one output has one format"),
    (["aa"], "Did you mean a?"),
]


def test_what_is_wrong_is_said(verb: Verb, made: dict[str, RunDir]) -> None:
    for words, said in WRONG:
        done = verb("list", *words)
        assert (done.code, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_metric_that_no_run_has_yet(verb: Verb, runs: Runs) -> None:
    """A script that waits for the first result is not told that it is wrong."""
    runs.new("name=a")
    done = verb("list", "--where", "test/accuracy>0.9")
    assert (done.code, done.stdout) == (0, "")
    assert "None of these 1 runs" in done.stderr


def test_the_table(verb: Verb, made: dict[str, RunDir]) -> None:
    header, best, _, failed, new = verb("list").stdout.splitlines()
    assert header.split() == ["run", "state", "metric", "gpu_hours", "created", "tags", "note"]
    assert best.split()[:4] == [f"a/{made['best'].path.name}", "completed", "accuracy", "0.9124"]
    assert best.endswith("good v1  for the paper")
    assert failed.split()[:3] == [f"b/{made['failed'].path.name}", "failed", "<0.01"]
    assert new.split()[1] == "missing"
    header, *_ = verb("list", "--columns", "+optim.lr").stdout.splitlines()
    assert header.split()[-2:] == ["note", "optim.lr"]
    assert (
        verb("list", "--columns", "name,trainer.seed", "a").stdout
        == "name  trainer.seed\na                1\na                2\n"
    )


def test_json_and_csv(verb: Verb, made: dict[str, RunDir]) -> None:
    row: dict[str, Any] = json.loads(verb("list", "--json", "--where", "tag=good").stdout)[0]
    assert list(row) == list(module.FIELDS)
    expected = {"name": "a", "state": "completed", "metric": 0.91239, "tags": ["good", "v1"], "note": "for the\npaper"}
    assert {key: row[key] for key in expected} == expected
    assert row["metrics"] == {"validation/loss": 0.3, "test/accuracy": 0.91239}
    columns = "name,optim.lr,tags,test/accuracy"
    assert json.loads(verb("list", "--json", "--columns", columns, "b").stdout) == [
        {"name": "b", "optim.lr": 0.0003, "tags": [], "test/accuracy": None}
    ]
    table = list(csv.reader(io.StringIO(verb("list", "--csv", "--columns", columns).stdout)))
    assert table[:2] == [columns.split(","), ["a", "0.001", "good v1", "0.91239"]]
    assert table[3] == ["b", "0.0003", "", ""]
    [_, [_, note]] = list(
        csv.reader(io.StringIO(verb("list", "--csv", "--columns", "run,note", "--limit", "1").stdout))
    )
    assert note == "for the\npaper"


def test_values_that_are_not_finite(verb: Verb, runs: Runs) -> None:
    run = runs.start(runs.new("name=a"))
    row = {"time": "", "attempt": 1, "step": 3, "split": "validation", "loss": "NaN"}
    append_json_line(run.metrics, row)
    runs.end(run, "crash")
    assert json.loads(verb("list", "--json", "--columns", "metric").stdout) == [{"metric": "NaN"}]
    assert verb("list", "--where", "validation/loss<9").stdout == ""
    assert len(verb("list", "--where", "validation/loss=NaN").stdout.splitlines()) == 2


def test_nothing_to_list(verb: Verb, work: Path) -> None:
    for words, printed in ((["--json"], "[]\n"), (["--csv", "--columns", "run"], "run\n"), ([], "")):
        done = verb("list", *words)
        assert (done.code, done.stdout) == (0, printed)
        assert "You have no runs under" in done.stderr
    assert "You have no runs in the archive of" in verb("list", "--archived").stderr
    assert list(work.glob("runs")) == []


def test_the_keys(verb: Verb, made: dict[str, RunDir]) -> None:
    keys = verb("list", "--keys").stdout.splitlines()
    assert {"state", "optim.lr", "data.source", "test/accuracy"} <= set(keys)
    assert verb("list", "--columns", ",".join(keys)).code == 0


def test_a_run_that_trains(verb: Verb, runs: Runs, hold: Hold) -> None:
    """Its GPU-hours grow, and what it writes is seen."""
    run = runs.start(runs.new("name=a"), gpus=2)
    hold(run)
    [row] = json.loads(verb("list", "--json", "--where", "state=running").stdout)
    assert row["gpu_hours"] > 0
    append_json_line(run.metrics, {"time": "", "attempt": 1, "step": 5, "split": "validation", "loss": 0.25})
    [row] = json.loads(verb("list", "--json", "--where", "validation/loss<0.3").stdout)
    assert (row["step"], row["metric"]) == (5, 0.25)


def test_runs_of_others(verb: Verb, made: dict[str, RunDir]) -> None:
    os.chown(made["other"].path, 12345, -1)
    assert found(verb, made, "--sort", "name", "a") == ["best"]
    assert "other" not in found(verb, made)
    assert found(verb, made, "--everyone") == ["best", "other", "failed", "new"]
    assert found(verb, made, "--where", "user=12345") == ["other"]


def test_a_broken_run_is_listed_too(verb: Verb, made: dict[str, RunDir]) -> None:
    made["new"].record.write_text("{")
    made["other"].result.write_text("")
    record = read_json(made["failed"].record)
    write_json(made["failed"].record, record | {"created": "yesterday"})
    result = read_json(made["best"].result)
    write_json(made["best"].result, result | {"metrics": {"test/accuracy": None}})
    assert sorted(found(verb, made)) == ["best", "failed", "new", "other"]
    assert verb("list").code == 0
    assert verb("status").code == 0
