"""``passingloop logs``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from passingloop.rundir.submission import Home
from tests.cli.conftest import Verb
from tests.cli.made import Runs


def test_logs_are_those_of_the_newest_attempt(verb: Verb, runs: Runs) -> None:
    run = runs.end(runs.start(runs.new("name=a")), "interrupted")
    assert verb("logs", "a").stdout == "this is attempt 1\n"
    runs.start(run)
    run.log(2, 0).write_bytes(b"this is attempt 2\nand \xff a line without its end")
    assert verb("logs", "a").stdout.splitlines() == ["this is attempt 2", "and \ufffd a line without its end"]
    [first, _] = map(json.loads, verb("logs", "a", "--json").stdout.splitlines())
    assert first == {"run": str(run.path), "attempt": 2, "line": "this is attempt 2"}
    assert verb("logs", "-f", "a").stdout == verb("logs", "a").stdout  # it is lost, so it ends


def test_logs_without_any(verb: Verb, runs: Runs) -> None:
    for flags in ((), ("-f",)):
        runs.new(f"name=never{len(flags)}")
        done = verb("logs", *flags, f"never{len(flags)}")
        assert (done.code, done.stdout) == (0, "")
        assert "has no log; it is missing" in done.stderr
    assert verb("logs", "-f").code == 2  # these are two


def test_what_the_batch_job_wrote_is_all_there_is(verb: Verb, runs: Runs) -> None:
    run = runs.end(runs.start(runs.new("name=a"), launcher="slurm", job_id="12_1", submission="first"), "crash")
    output = Home.for_user(run.path.parents[1]).path / "submissions" / "first" / "12_1.txt"
    output.parent.mkdir(parents=True)
    output.write_text("error: no such node\n")
    done = verb("logs", "a")
    assert done.stdout == "this is attempt 1\n"
    assert str(output) in done.stderr
    run.log(1, 0).write_text("")
    assert verb("logs", "a").stdout == verb("logs", "-f", "a").stdout == "error: no such node\n"


def test_a_log_that_is_closed_to_us_is_named(runs: Runs) -> None:
    """As another user's may be. Root without its capabilities may not read it either."""
    closed = runs.start(runs.new("name=a")).log(1, 0)
    runs.start(runs.new("name=b"))
    hidden = runs.start(runs.new("name=c"))
    closed.chmod(0)
    hidden.attempts.chmod(0)

    def logs(*words: str) -> subprocess.CompletedProcess[str]:
        as_user = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
        command = [*as_user, sys.executable, "-m", "passingloop.cli.main", "logs", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = logs("a", "b")
    assert (done.returncode, done.stdout) == (1, "this is attempt 1\n")
    assert f"{closed} is closed to you" in done.stderr
    done = logs("c")
    assert done.returncode == 2
    assert "c names no run" in done.stderr
    assert "attempts.jsonl is closed to you" in done.stderr
