"""Tags and notes."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from passingloop.errors import ConfigError, RunError
from passingloop.index import run_marks
from passingloop.index.run_marks import Marks
from passingloop.rundir.directory import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    folder = tmp_path / "name" / "0123456789ab"
    folder.mkdir(parents=True, mode=0o750)
    return RunDir(folder)


def test_what_is_noted_is_readable_without_the_program(run: RunDir) -> None:
    assert run_marks.read(run) == Marks()
    assert not run.marks.exists()
    run_marks.change(run, lambda old: old.with_tags(("good", "v1", "good")))
    run_marks.change(run, lambda old: old.with_note("für die Arbeit"))
    assert json.loads(run.marks.read_text()) == {"schema": 1, "tags": ["good", "v1"], "note": "für die Arbeit"}
    assert stat.S_IMODE(run.marks.stat().st_mode) == 0o640, "as the run's other files"
    changed = run_marks.change(run, lambda old: old.without_tags(("good", "absent")).with_note(None))
    assert changed == run_marks.read(run) == Marks(("v1",))
    assert [path.name for path in run.path.iterdir()] == ["marks.json"]


def add_tags(folder: Path, prefix: str) -> None:
    for number in range(25):
        run_marks.change(RunDir(folder), lambda old, number=number: old.with_tags((f"{prefix}{number}",)))  # type: ignore[misc]


def test_of_tags_that_are_given_at_once_none_is_lost(run: RunDir) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add_tags, args=(run.path, prefix)) for prefix in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sorted(run_marks.read(run).tags) == sorted(f"{prefix}{number}" for prefix in "abcd" for number in range(25))


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"tags": "good"}', '{"tags": [1]}', '{"note": 3}', '{"schema": 9, "tags": []}', '"good"', "\xff"],
)
def test_a_file_that_is_not_understood_is_not_overwritten(run: RunDir, content: str) -> None:
    run.marks.write_text(content, encoding="latin-1")
    for act in (run_marks.read, lambda run: run_marks.change(run, lambda old: old.with_tags(("new",)))):
        with pytest.raises(RunError, match=r"marks\.json"):
            act(run)
    assert run.marks.read_text(encoding="latin-1") == content


def test_a_file_that_someone_was_about_to_write_is_empty(run: RunDir) -> None:
    run.marks.touch()
    assert run_marks.read(run) == Marks()
    assert run_marks.change(run, lambda old: old.with_tags(("a",))) == Marks(("a",))


@pytest.mark.parametrize("word", ["", "two words", "a,b", "(a)", "-a", "it's", "x" * 65, "a=b", "_a"])
def test_what_is_no_tag(word: str) -> None:
    with pytest.raises(ConfigError, match="a tag is one word"):
        run_marks.check_tags(["good", word])


def test_what_is_a_tag() -> None:
    words = ["good", "v1.2", "größer", "team/nlp", "2026-11", "gpu:h200", "a@b", "c++"]
    assert run_marks.check_tags(words) == tuple(words)
