"""What commands say of runs that have paused at a rung, above all where nobody is left to decide what follows."""

from __future__ import annotations

import os
import textwrap

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import acquire_lock
from passingloop.search.stalled_search import STILL
from tests.cli.conftest import Verb
from tests.cli.made import Runs
from tests.conftest import Compose
from tests.search.made_points import Sweep

OTHERS = "It has paused at a rung, and others of its sweep went on."
UNDECIDED = "Whether it goes on is decided when others have come there."


@pytest.fixture(params=["halving"])
def sweep(compose: Compose, request: pytest.FixtureRequest) -> Sweep:
    """Three points that have come to the first rung; that of seed 3 is the best."""
    sweep = Sweep(compose, "name=lr", search=request.param)
    sweep.add(1, 2, 3)
    sweep.decide()
    for seed in (1, 2, 3):
        sweep.reach(seed, 10, loss=1 / seed)
    return sweep


def said(verb: Verb, name: str, run: RunDir) -> str:
    done = verb(name, run.path.name)
    assert done.code == 0, done.stderr
    return " ".join(done.stdout.split())


def test_nobody_is_left_to_decide(verb: Verb, runs: Runs, sweep: Sweep) -> None:
    """The decider was killed between the end of its run and its decision."""
    for name in ("status", "why"):
        assert STILL in said(verb, name, sweep.run(1))
    assert STILL in " ".join(textwrap.dedent(verb("sweep", "lr").stdout).split())


def test_a_decision_that_was_not_carried_out(verb: Verb, sweep: Sweep) -> None:
    assert sweep.decide("a job that is killed") == {(3, 1)}
    assert STILL in said(verb, "status", sweep.run(1))
    assert "1 point is to train on, and nothing does so" in said(verb, "sweep", sweep.run(1))


@pytest.mark.parametrize(("sweep", "meanwhile"), [("halving", OTHERS), ("asha", UNDECIDED)], indirect=["sweep"])
def test_while_another_trains_and_when_all_is_over(verb: Verb, sweep: Sweep, meanwhile: str) -> None:
    sweep.decide()
    sweep.begin(3)
    lock = acquire_lock(sweep.run(3))
    assert meanwhile in said(verb, "why", sweep.run(1))
    os.close(lock)
    for step in (30, 90):
        sweep.reach(3, step, loss=0.1)
        sweep.decide()
    assert OTHERS in said(verb, "status", sweep.run(1))
    assert OTHERS in said(verb, "why", sweep.run(2))
