"""``passingloop tag`` and ``note``."""

from __future__ import annotations

import json

from tests.cli.conftest import Verb
from tests.cli.made import Runs


def test_tags_are_given_shown_and_taken_away(verb: Verb, runs: Runs) -> None:
    first, second = runs.new("name=a", "trainer.seed=1"), runs.new("name=a", "trainer.seed=2")
    one, two = (f"a/{run.path.name}" for run in (first, second))
    assert verb("tag", one, "good", "v1").stdout == f"{one} good v1\n"
    assert verb("tag", "a", "late").stdout == f"{one} good v1 late\n{two} late\n"
    assert json.loads(first.marks.read_text())["tags"] == ["good", "v1", "late"]
    assert verb("tag", "a", "--remove", "late").stdout == f"{one} good v1\n{two}\n"
    assert verb("tag", one, "--remove").stdout == f"{one}\n"
    assert verb("tag", one).stdout == f"{one}\n"


def test_marks_are_no_part_of_the_run(verb: Verb, runs: Runs) -> None:
    run = runs.completed("name=a")
    before = json.loads(verb("status", "--json").stdout)
    verb("tag", "a", "good")
    verb("note", "a", "some text")
    assert json.loads(verb("status", "--json").stdout) == before
    assert "good" not in run.record.read_text() + run.attempts.read_text()


def test_what_cannot_be_tagged_is_said(verb: Verb, runs: Runs) -> None:
    run = runs.new("name=a")
    for words, code, said in (
        (("a", "two words"), 2, "a tag is one word"),
        (("b", "good"), 2, "b is no run"),
    ):
        done = verb("tag", *words)
        assert (done.code, done.stdout) == (code, "")
        assert said in done.stderr
    run.marks.write_text("{")
    done = verb("tag", "a", "good")
    assert done.code == 1
    assert "Mend it, or remove it" in done.stderr


def test_a_note(verb: Verb, runs: Runs) -> None:
    run = runs.new("name=a")
    assert verb("note", "a").stdout == ""
    assert verb("note", "a", "the one", "for 'us'").stdout == "the one for 'us'\n"
    assert verb("note", run.path.name).stdout == "the one for 'us'\n"
    assert verb("note", "a", "--remove").stdout == ""
    assert verb("note", "a").stdout == ""
    done = verb("note", "a", "--remove", "text")
    assert done.code == 2
    runs.new("name=a", "trainer.seed=2")
    done = verb("note", "a", "text")
    assert done.code == 2
    assert "a names 2 runs" in done.stderr
