"""The catalogue: with the index it says what the directories say, whatever has changed and whoever writes it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from passingloop.files import append_json_line, write_json
from passingloop.index import catalogue as module
from passingloop.index import run_marks
from passingloop.index.catalogue import Entry, catalogue, entry_at
from passingloop.index.entry_facts import read_facts
from passingloop.index.index_file import Index, Row, index_places
from passingloop.index.run_marks import Marks
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued
from tests.cli.made import Runs
from tests.conftest import Compose


@pytest.fixture
def runs(compose: Compose) -> Runs:
    return Runs(compose)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All changes are old enough for the index, and each is worth to be kept."""
    monkeypatch.setattr(module, "WORTH_WRITING", 1)
    monkeypatch.setattr(module.time, "time", lambda: REAL_TIME() + 60)  # type: ignore[attr-defined]


REAL_TIME = time.time


def said(entries: list[Entry]) -> list[tuple[Any, ...]]:
    """All that is known of each, and that what is read of the index as it is agrees with the facts."""
    for entry in entries:
        facts, rest = entry.facts, entry.facts.rest
        assert (entry.order, entry.recorded_metrics) == (facts.order, facts.progress.metrics)
        assert entry.is_final == (rest is not None and rest.job_id is None)
        assert (entry.name, entry.signature) == (entry.run.path.parent.name, entry.run.path.name)
    return [
        (entry.run, entry.owner, entry.facts, {**entry.settings.base, **entry.settings.changes}) for entry in entries
    ]


def from_directories(root: Path) -> list[tuple[Any, ...]]:
    entries = [entry for folder in root.glob("[!.]*/*") if (entry := entry_at(RunDir(folder)))]
    return said(sorted(entries, key=lambda entry: (entry.name, entry.order, entry.signature)))


def is_kept(run: RunDir, root: Path) -> bool:
    return f"{run.path.parent.name}/{run.path.name}" in Index.read(index_places(root)).rows


def test_what_is_kept_is_what_was_read(runs: Runs, work: Path, later: None) -> None:
    root = work / "runs"
    made = [
        runs.completed("name=a", "trainer.seed=1"),
        runs.completed("name=a", "trainer.seed=2", "optim.lr=0.1"),
        runs.end(runs.start(runs.new("name=b"), gpus=2), "crash", message="boom"),
        runs.new("name=c"),
    ]
    run_marks.change(made[0], lambda old: Marks(("good",), "the best"))
    ledger.append(made[3], Queued(submission="s", job_id="7_1"))
    first = said(catalogue(root))
    assert [entry[0] for entry in first] == made
    assert all(is_kept(run, root) for run in made)
    assert said(catalogue(root)) == first == from_directories(root)
    assert said(catalogue(root, "a")) == first[:2]
    assert said(catalogue(root, "no-such")) == []
    assert first[0][2].marks == Marks(("good",), "the best")
    assert first[2][2].rest.state.message == "boom"
    assert first[3][2].jobs == ("7_1",)
    assert first[1][3]["optim.lr"] == 0.1


def test_nothing_is_read_again_that_has_not_changed(
    runs: Runs, work: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, changed = runs.completed("name=a"), runs.completed("name=b")
    catalogue(work / "runs")
    read: list[RunDir] = []

    def noted(run: RunDir) -> Any:
        read.append(run)
        return read_facts(run)

    monkeypatch.setattr(module, "read_facts", noted)
    catalogue(work / "runs")
    assert read == []
    run_marks.change(changed, lambda old: old.with_tags(("new",)))
    assert catalogue(work / "runs")[1].facts.marks.tags == ("new",)
    assert read == [changed]
    shutil.rmtree(run.path)
    assert [entry.run for entry in catalogue(work / "runs")] == [changed]
    assert not is_kept(run, work / "runs")


def test_the_answer_is_right_after_any_changes(runs: Runs, work: Path, later: None) -> None:
    """Random ones, seen through the index after each few of them."""
    root, chance = work / "runs", random.Random(4)
    template = runs.completed("name=a")
    shutil.copytree(template.path, work / "template")
    numbers = iter(range(1, 1000))
    for _ in range(40):
        for _ in range(chance.randint(0, 3)):
            time.sleep(0.01)  # the kernel counts file times in steps of some milliseconds
            change_something(root, work / "template", chance, next(numbers))
        assert said(catalogue(root)) == from_directories(root)


def change_something(root: Path, template: Path, chance: random.Random, number: int) -> None:
    existing = sorted(path.parent for path in root.glob("[!.]*/*/run.json"))
    kind = chance.choice(["new", "delete", "move", "append", "result", "marks", "metrics", "record", "break"])
    if kind == "new" or not existing:
        shutil.copytree(template, root / chance.choice("abc") / f"{number:012x}")
        return
    folder = chance.choice(existing)
    match kind:
        case "delete":
            shutil.rmtree(folder)
        case "move":
            folder.rename(folder.with_name(f"{number:012x}"))
        case "append":
            append_json_line(
                folder / "attempts.jsonl", {"event": "cancel", "time": f"2026-11-01T00:00:{number % 60:02}Z"}
            )
        case "result":
            write_json(folder / "result.json", {"steps": number, "metrics": {"test/loss": number / 7}})
        case "marks":
            write_json(folder / "marks.json", {"schema": 1, "tags": [f"tag{number}"], "note": "n" * (number % 50)})
        case "metrics":
            (folder / "result.json").unlink(missing_ok=True)
            row = {"time": "", "attempt": 1, "step": number, "split": "validation", "loss": 1.5}
            append_json_line(folder / "metrics.jsonl", row)
        case "record":
            content = json.loads((folder / "run.json").read_text())
            content["config"]["trainer"]["seed"] = number
            (folder / "run.json").write_text(json.dumps(content))  # in place, as an editor may do
        case "break":
            (folder / "result.json").write_text("{" * (number % 9))


def test_an_index_that_cannot_be_changed_is_made_anew(
    runs: Runs, work: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage may be where nothing was read."""
    kept = runs.completed("name=a")
    run_marks.change(kept, lambda old: old.with_tags(("good",)))
    catalogue(work / "runs")
    new, update, calls = runs.completed("name=b"), Index.update, list[int]()

    def fails_once(self: Index, changed: dict[str, Row], gone: Any) -> None:
        calls.append(len(changed))
        if len(calls) == 1:
            raise sqlite3.DatabaseError("database disk image is malformed")
        update(self, changed, gone)

    monkeypatch.setattr(Index, "update", fails_once)
    expected = from_directories(work / "runs")
    assert said(catalogue(work / "runs")) == expected
    assert is_kept(kept, work / "runs")
    assert is_kept(new, work / "runs")
    assert said(catalogue(work / "runs")) == expected
    assert calls == [1, 2]


def test_broken_runs_are_listed_with_what_is_known(runs: Runs, work: Path) -> None:
    record, events, result, marked = (runs.completed(f"name={name}") for name in "abcd")
    record.record.write_text("{")
    events.attempts.write_bytes(b"\xff\n[]\n{}\n")
    result.result.write_text('{"steps": "many"}')
    marked.marks.write_text('["tags"]')
    a, b, c, d = (entry.facts for entry in catalogue(work / "runs"))
    assert (a.created, a.attempts) == (None, 1)
    assert (b.attempts, b.progress.metrics["test/accuracy"]) == (0, 0.91239)
    assert (c.progress.metrics, c.attempts) == ({}, 1)
    assert (d.marks, d.attempts) == (Marks(), 1)


def test_recent_changes_are_not_trusted_to_show(runs: Runs, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two within one step of the file system's clock leave the same time."""
    run = runs.completed("name=a")
    catalogue(work / "runs")
    assert not is_kept(run, work / "runs")
    monkeypatch.setattr(module.time, "time", lambda: REAL_TIME() + 60)  # type: ignore[attr-defined]
    catalogue(work / "runs")
    assert is_kept(run, work / "runs")


def test_a_name_that_is_no_unicode(runs: Runs, work: Path, later: None) -> None:
    run = runs.completed("name=a")
    odd = run.path.with_name(os.fsdecode(b"\xff\xfe"))
    shutil.copytree(run.path, odd)
    for _ in range(2):
        assert {entry.run.path for entry in catalogue(work / "runs")} == {run.path, odd}


def test_commands_at_once_do_not_disturb_each_other(runs: Runs, work: Path, later: None) -> None:
    """Each sees whole indexes only, and all runs."""
    for seed in range(6):
        runs.completed("name=a", f"trainer.seed={seed}")
    root, expected, wrong = work / "runs", from_directories(work / "runs"), list[object]()

    def look() -> None:
        for _ in range(5):
            if said(catalogue(root)) != expected:
                wrong.append(1)
            for place in index_places(root):
                place.unlink(missing_ok=True)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [path.name for path in index_places(root)[0].parent.iterdir() if path.name.startswith(".")] == []


def test_a_read_only_root_has_its_index_elsewhere(
    runs: Runs, work: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.completed("name=a")
    monkeypatch.setenv("XDG_CACHE_HOME", str(work / "cache"))
    beside, cached = index_places(work / "runs")
    beside.parent.touch()  # so that nobody can make a folder there
    assert [entry.run for entry in catalogue(work / "runs")] == [run]
    assert cached.exists()
    shutil.rmtree(work / "cache")
    (work / "cache").touch()
    assert [entry.run for entry in catalogue(work / "runs")] == [run]


def test_one_run(runs: Runs, work: Path) -> None:
    run = runs.completed("name=a")
    entry = entry_at(run)
    assert entry
    assert (entry.name, entry.signature) == ("a", run.path.name)
    assert entry_at(RunDir(work)) is None
