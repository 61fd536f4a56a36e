"""``passingloop delete`` and ``archive``: what goes, what stays, and what is asked before."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from passingloop.files import write_json
from passingloop.rundir import ledger
from passingloop.rundir.choice import choose_run, is_complete
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued
from passingloop.rundir.submission import Home
from passingloop.storage import removal
from passingloop.storage.disk_use import freed_bytes
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs
from tests.conftest import Compose

Answer = Callable[[str], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answer]:
    """Types into the terminal at which the command asks."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin, os.fdopen(controller, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", stdin)
        yield lambda text: keyboard.write(f"{text}\n".encode()) and None


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


def with_checkpoint(run: RunDir, step: int = 40) -> RunDir:
    run.checkpoint(step).mkdir(parents=True)
    (run.checkpoint(step) / "weights.safetensors").write_bytes(os.urandom(50_000))
    (run.checkpoint(step) / "manifest.json").write_text("{}")
    return run


def test_it_says_what_it_frees_and_asks(verb: Verb, runs: Runs, answer: Answer) -> None:
    run, other = with_checkpoint(runs.completed("name=a")), runs.completed("name=b")
    answer("")
    done = verb("delete", "a")
    assert (done.code, done.stdout) == (1, "")
    assert f"a/{run.path.name}  completed  " in done.stderr
    assert "Delete 1 run, which frees " in done.stderr
    assert done.stderr.endswith("[y/N] Nothing was deleted.\n")
    assert run.record.exists()
    answer("y")
    done = verb("delete", "a")
    assert (done.code, done.stdout) == (0, f"{run.path}\n")
    assert not run.path.parent.exists()
    assert other.record.exists()


def test_without_a_terminal_it_wants_to_be_told(verb: Verb, runs: Runs) -> None:
    run = runs.completed("name=a")
    for name in ("delete", "archive"):
        done = verb(name, "a")
        assert (done.code, done.stdout) == (2, "")
        assert "Add --yes if you mean it" in done.stderr
        done = verb(name)
        assert done.code == 2
        assert "You named no run" in done.stderr
    assert run.record.exists()


def test_the_sizes_are_those_of_the_disk(verb: Verb, runs: Runs, work: Path) -> None:
    run = with_checkpoint(runs.completed("name=a"))
    (work / "copy").hardlink_to(run.checkpoint(40) / "weights.safetensors")
    expected = freed_bytes([run.path])
    [row] = json.loads(verb("delete", "a", "--dry-run", "--json").stdout)
    assert row == {"run": str(run.path), "state": "completed", "freed_bytes": expected}
    assert expected < 50_000
    assert run.record.exists()


def test_what_works_or_waits_is_left_alone(verb: Verb, runs: Runs, hold: Hold) -> None:
    trains, waits, starts = runs.start(runs.new("name=trains")), runs.new("name=waits"), runs.new("name=starts")
    ledger.append(waits, Queued(submission="s", job_id="12"))
    hold(trains)
    hold(starts)
    may_wait = runs.new("name=mayWait")
    ledger.append(may_wait, Queued(submission="s", job_id="13"))
    runs.end(runs.start(may_wait, launcher="slurm", job_id="13", submission="s"), "crash")
    done_run = runs.completed("name=done")
    hold(done_run)
    for name in ("delete", "archive"):
        done = verb(name, "--yes", "trains", "waits", "starts", "mayWait", "done")
        assert (done.code, done.stdout) == (1, "")
        assert f"{trains.path} is running" in done.stderr
        assert f"{waits.path} is pending" in done.stderr
        assert f"{starts.path} is running" in done.stderr
        assert f"{may_wait.path} was submitted to Slurm, which does not answer" in done.stderr
        assert f"{done_run.path} is at work: process" in done.stderr
    assert all(run.record.exists() for run in (trains, waits, starts, may_wait, done_run))


def test_some_by_a_condition(verb: Verb, runs: Runs) -> None:
    failed, good = runs.end(runs.start(runs.new("name=a")), "crash"), runs.completed("name=b")
    done = verb("delete", "--yes", "--where", "state=failed")
    assert (done.code, done.stdout) == (0, f"{failed.path}\n")
    assert good.record.exists()
    done = verb("delete", "--yes", "--where", "state=failed")
    assert (done.code, done.stdout) == (0, "")
    assert "nothing to delete" in done.stderr
    assert verb("delete", "--yes", "--where", "sate=failed").code == 2


def test_it_says_whose_model_others_began_from(verb: Verb, runs: Runs) -> None:
    run = runs.completed("name=a")
    run.export.mkdir()
    runs.completed("name=b", f"model.path={run.export}")
    done = verb("delete", "a", "--dry-run")
    assert f"a/{run.path.name}: another run began from its model" in done.stderr
    assert "began from" not in verb("delete", "a", "b", "--dry-run").stderr


def test_a_link_is_not_followed(verb: Verb, runs: Runs, work: Path) -> None:
    run = runs.completed("name=a")
    outside = run.path.rename(work / "outside")
    run.path.symlink_to(outside)
    done = verb("delete", "--yes", "a")
    assert (done.code, done.stdout) == (1, "")
    assert "links are not followed" in done.stderr
    assert (outside / "run.json").exists()


def test_the_same_command_finishes_what_was_killed(verb: Verb, runs: Runs) -> None:
    run = with_checkpoint(runs.completed("name=a"))
    doomed = run.path.rename(run.path.with_name(f"{removal.DELETED}{run.path.name}"))
    assert verb("status", "--json").stdout == "[]\n", "it is no run any more"
    assert verb("delete", "--dry-run", run.path.name).code == 2
    assert doomed.exists()
    done = verb("delete", "--yes", run.path.name)
    assert (done.code, done.stdout) == (0, "")
    assert "Finished deleting" in done.stderr
    assert not doomed.parent.exists()


def test_the_same_command_with_the_name_of_the_experiment(verb: Verb, runs: Runs) -> None:
    run, other = runs.completed("name=a"), runs.completed("name=a", "trainer.seed=2")
    alone = runs.completed("name=b")
    for each in (run, alone):
        each.path.rename(each.path.with_name(f"{removal.DELETED}{each.path.name}"))
    done = verb("delete", "--yes", "a", "b")
    assert (done.code, done.stdout) == (0, f"{other.path}\n")
    assert done.stderr.count("Finished deleting") == 2


def test_a_shortened_signature_does_not_go_on_to_another_run(verb: Verb, runs: Runs) -> None:
    run, again = runs.completed("name=a"), runs.new("name=a", number=2)
    run.path.rename(run.path.with_name(f"{removal.DELETED}{run.path.name}"))
    done = verb("delete", "--yes", run.path.name[:6])
    assert (done.code, done.stdout) == (0, "")
    assert again.record.exists()


def test_an_archived_run_is_put_away_and_comes_back(verb: Verb, runs: Runs, work: Path, compose: Compose) -> None:
    run = with_checkpoint(runs.completed("name=a"))
    run.export.mkdir()
    (run.export / "config.json").write_text("{}")
    place = Home.for_user(work / "runs").archive / "a" / run.path.name
    done = verb("archive", "--yes", "a")
    assert (done.code, done.stdout) == (0, f"{place}\n")
    assert not (place / "checkpoints").exists()
    assert (place / "export" / "config.json").exists()
    assert json.loads(verb("status", "--json").stdout) == []
    assert [row["run"] for row in json.loads(verb("list", "--archived", "--json").stdout)] == [str(place)]
    done = verb("status", str(place))
    assert done.code == 2
    assert f"archive --undo {run.path.name}" in done.stderr
    for word in ("a", run.path.name[:5], f"a/{run.path.name}"):
        done = verb("logs", word)
        assert done.code == 2
        assert f"{word} is in the archive" in done.stderr
        assert f"archive --undo {word}`" in done.stderr
    assert "list --archived` lists" in verb("archive", "--undo", "b").stderr
    config = compose("name=a")
    assert is_complete(config)
    assert choose_run(config) == RunDir(place), "the training command says that it is done"
    assert choose_run(compose("name=a", "rerun=true")).path == run.path.with_name(f"{run.path.name}.2")
    shutil.rmtree(run.path.with_name(f"{run.path.name}.2"))
    assert verb("archive", "--undo", "a").stdout == f"{run.path}\n"
    assert not place.exists()
    assert choose_run(config) == run


def test_an_archived_run_that_is_not_complete_is_not_begun_again(
    verb: Verb, runs: Runs, work: Path, compose: Compose
) -> None:
    run = with_checkpoint(runs.end(runs.start(runs.new("name=a")), "crash"), 20)
    assert verb("archive", "--yes", "a").code == 0
    archived = RunDir(Home.for_user(work / "runs").archive / "a" / run.path.name)
    assert archived.saved_step == 20
    with pytest.raises(Exception, match=f"archive --undo {run.path.name}"):
        choose_run(compose("name=a"))
    assert not is_complete(compose("name=a"))
    assert not run.path.exists()


def test_archiving_that_was_killed_goes_on(verb: Verb, runs: Runs, work: Path) -> None:
    run = with_checkpoint(runs.completed("name=a"))
    archived = removal.archive(run, Home.for_user(work / "runs").archive)
    done = verb("archive", "--yes", "a")
    assert (done.code, done.stdout) == (0, "")
    assert "is in the archive" in done.stderr
    assert not archived.checkpoints.exists()


def test_the_archive_can_be_emptied(verb: Verb, runs: Runs, work: Path) -> None:
    run, kept = runs.completed("name=a"), runs.completed("name=b")
    verb("archive", "--yes", "a")
    done = verb("delete", "--archived", "--yes", "a")
    assert done.code == 0
    assert run.path.name in done.stdout
    assert json.loads(verb("list", "--archived", "--json").stdout) == []
    assert kept.record.exists()


def test_ctrl_c_at_the_question_is_an_answer(verb: Verb, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, size: int | None = -1) -> str:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("Ctrl-C raises KeyboardInterrupt")

    monkeypatch.setattr("sys.stdin", Terminal())
    run = runs.completed("name=a")
    done = verb("delete", "a")
    assert done.code == 130
    assert done.stderr.endswith("[y/N] \nerror: Interrupted.\n")
    assert run.record.exists()


def test_a_run_that_began_after_the_question_is_left(
    verb: Verb, runs: Runs, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = runs.end(runs.start(runs.new("name=a")), "crash"), runs.completed("name=b")
    write_json(other.path / "extra.json", {})

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, size: int | None = -1) -> str:
            hold(runs.start(run))
            return "yes\n"

    monkeypatch.setattr("sys.stdin", Terminal())
    done = verb("delete", "a", "b")
    assert (done.code, done.stdout) == (1, f"{other.path}\n")
    assert f"{run.path} is running" in done.stderr
    assert run.record.exists()
