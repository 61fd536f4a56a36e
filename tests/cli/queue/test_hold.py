"""``passingloop hold``, ``release`` and ``priority`` where there is nothing to be done, or Slurm does not answer.

With a real Slurm: tests/cluster/test_verbs.py.
"""

from __future__ import annotations

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.events import Queued
from tests.cli.conftest import Hold, Verb
from tests.cli.made import Runs

VERBS = [("hold",), ("release",), ("priority", "low")]


@pytest.mark.parametrize(
    ("verb_words", "said"), [(VERBS[0], "nothing to hold"), (VERBS[1], "nothing to release"), (VERBS[2], "no priority")]
)
def test_without_a_job_there_is_nothing_to_do(verb: Verb, runs: Runs, verb_words: tuple[str, ...], said: str) -> None:
    runs.completed("name=a")
    done = verb(*verb_words)
    assert (done.code, done.stdout) == (0, "")
    assert said in done.stderr.splitlines()[-1]


def test_a_run_of_a_shell_is_not_held(verb: Verb, runs: Runs, hold: Hold) -> None:
    run = runs.start(runs.new("name=a"))
    hold(run)
    done = verb("hold", "a")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == f"a/{run.path.name} is running, so it is not held.\n"


@pytest.mark.parametrize("verb_words", VERBS)
def test_nothing_is_changed_when_slurm_does_not_answer(verb: Verb, runs: Runs, verb_words: tuple[str, ...]) -> None:
    ledger.append(runs.new("name=a"), Queued(submission="s", job_id="12"))
    done = verb(*verb_words)
    assert (done.code, done.stdout) == (3, "")
    assert "nothing has been changed" in done.stderr


def test_a_level_of_priority_is_low_or_normal(verb: Verb, runs: Runs) -> None:
    runs.completed("name=a")
    done = verb("priority", "a", "high")
    assert done.code == 2
    assert "'high' (choose from" in done.stderr
