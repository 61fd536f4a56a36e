"""``passingloop sweep``."""

from __future__ import annotations

import json

from passingloop.config.build import to_plain
from passingloop.search.rungs import Search
from passingloop.search.sweep_ledger import Entry, SweepFile
from tests.cli.conftest import Verb
from tests.cli.made import Runs

RULES = Search(kind="asha", metric="validation/loss", lower_is_better=True, eta=3, rungs=3, width=2)


def test_a_search_is_found_by_its_name_its_folder_and_its_runs(verb: Verb, runs: Runs) -> None:
    run = runs.end(runs.start(runs.new("name=lr", "optim.lr=0.01")), "paused", 4)
    file = SweepFile(run.path.parent)
    file.write_search(RULES, 9)
    config = to_plain(runs.compose("name=lr", "optim.lr=0.01"))
    file.write_points([Entry(run=run.path.name, values={"optim.lr": 0.01}, settings=config, reported={})])
    for word in ("lr", str(file.folder), run.path.name[:6]):
        done = verb("sweep", word)
        assert done.code == 0, done.stderr
        assert done.stdout.startswith("lr: asha by validation/loss, 1 point of 9 at most, standing still.")
    found = json.loads(verb("sweep", "lr", "--json").stdout)
    assert (found["search"], found["points"][0]["state"]) == ("asha", "new")


def test_a_search_of_which_nothing_has_begun(verb: Verb, runs: Runs) -> None:
    config = runs.compose("name=lr", "optim.lr=0.01")
    file = SweepFile(config.run_root / "lr")
    file.folder.mkdir(parents=True)
    file.write_search(RULES, None)
    file.write_points([Entry(run="0a1b2c3d4e5f", values={"optim.lr": 0.01}, settings=to_plain(config), reported={})])
    done = verb("sweep", "lr")
    assert done.code == 0, done.stderr
    assert "has not begun" in done.stdout


def test_runs_of_a_plain_sweep(verb: Verb, runs: Runs) -> None:
    for lr in (0.01, 0.02):
        runs.completed("name=plain", f"optim.lr={lr}")
    done = verb("sweep", "plain")
    assert done.code == 0, done.stderr
    assert "All points train to the end." in done.stdout
    assert done.stdout.count("complete") == 2


def test_what_is_no_sweep_is_said(verb: Verb, runs: Runs) -> None:
    runs.completed("name=single")
    one = verb("sweep", "single")
    assert (one.code, "single has one run, which is no sweep." in one.stderr) == (2, True)
    unknown = verb("sweep", "singel")
    assert unknown.code == 2
    assert "Did you mean single?" in unknown.stderr


def test_a_ledger_of_a_later_version_is_refused_in_words(verb: Verb, runs: Runs) -> None:
    run = runs.completed("name=lr")
    (run.path.parent / "sweep.jsonl").write_text('{"event": "search", "version": 99, "time": "2026-11-29T12:00:00Z"}\n')
    done = verb("sweep", "lr")
    assert done.code != 0
    assert "sweep.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
