"""Which runs a command is about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.events import Queued
from tests.cli.conftest import Verb
from tests.cli.made import Runs, table


def test_every_way_to_name_a_run(verb: Verb, runs: Runs, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = runs.new("name=two", "trainer.seed=1"), runs.new("name=two", "trainer.seed=2")
    other = runs.new("name=other", "trainer.seed=3")
    ledger.append(first, Queued(submission="s", job_id="712_0"))
    ledger.append(second, Queued(submission="s", job_id="712_1"))

    def names(*words: str) -> list[str]:
        found = verb("status", "--json", *words)
        assert found.code == 0, found.stderr
        return [row["signature"] for row in json.loads(found.stdout)]

    one, two, third = (run.path.name for run in (first, second, other))
    assert names("two") == names("runs/two/") == names("712") == names(str(first.path), two[:8], one) == [one, two]
    assert names("712_1") == names(two) == names(two[:6]) == names(f"two/{two}") == names(f"two/{two[:5]}") == [two]
    assert names("other", "712_0", "other") == [third, one]
    monkeypatch.chdir(other.path)
    assert names(".") == [third]


@pytest.mark.parametrize(
    ("word", "said"),
    [("tow", "Did you mean two?"), ("99", "99 is no run"), ("", "is no run"), ("x" * 300, "is no run")],
)
def test_a_word_that_names_nothing(verb: Verb, runs: Runs, word: str, said: str) -> None:
    runs.new("name=two")
    for name in ("status", "logs", "wait", "cancel", "rerun"):
        done = verb(name, word)
        assert (done.code, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_beginning_that_several_signatures_have(verb: Verb, runs: Runs) -> None:
    run = runs.new("name=a")
    again = runs.new("name=a", number=2)
    done = verb("status", run.path.name[:5])
    assert done.code == 2
    assert str(run.path) in done.stderr
    assert str(again.path) in done.stderr
    assert list(table(verb("status", run.path.name))) == [f"a/{run.path.name}"]
