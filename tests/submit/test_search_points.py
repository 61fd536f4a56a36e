"""The jobs of a search: what they ask for, and what they do once their run has come to a rung."""

from __future__ import annotations

from pathlib import Path

import pytest

from passingloop.plan import signature
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, Queued
from passingloop.rundir.submission import Home, Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.search.decision_round import Owed
from passingloop.submit.search_points import continue_search, settings_to_rung
from tests.conftest import Compose
from tests.search.made_points import Sweep


@pytest.fixture
def sweep(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Three points on their way to the first rung, on a machine without Slurm: so a job has all the time there is."""
    monkeypatch.setenv("PATH", "")
    sweep = Sweep(compose)
    sweep.add(1, 2, 3)
    sweep.decide()
    return sweep


def goes_on(sweep: Sweep, seed: int) -> bool:
    """Whether the job ``a-submission`` trains the run on, once it has decided what follows."""
    home = Home.for_user(sweep.file.folder.parent)
    home.create()
    task = TrainTask(run=sweep.run(seed), code={}, settings={})
    return continue_search(task, Submission(home, "a-submission"), Path("code"), "1")


def test_a_point_waits_for_what_it_was_to_wait_for_before_its_first_rung_only(compose: Compose) -> None:
    words = ("hold=true", "begin=now+1hour", "constraint=a100")
    config = compose("launcher=slurm", *(f"+cluster.extra.{word}" for word in words))
    run = RunDir(Path("runs/name/0123456789ab"))
    assert settings_to_rung(Owed(run, config, 0)) == config
    later = settings_to_rung(Owed(run, config, 1))
    assert later.cluster.extra == {"constraint": "a100"}
    assert signature(later) == signature(config)


def test_the_promoted_run_goes_on_in_its_job_and_no_other_does(sweep: Sweep) -> None:
    for seed in (1, 2, 3):
        sweep.queue(seed)
        sweep.reach(seed, 10, loss=seed / 10)
    assert not goes_on(sweep, 2)
    assert goes_on(sweep, 1)


def test_a_run_that_another_job_has_taken_over_does_not_go_on_in_this_one(sweep: Sweep) -> None:
    for seed in (1, 2, 3):
        sweep.queue(seed)
    sweep.begin(1)
    sweep.end(1, "oom", 4)
    ledger.append(sweep.run(1), Decision(attempt=1, action="resubmit", reason="more memory"))
    ledger.append(sweep.run(1), Queued(submission="with-more-memory", job_id="2"))
    for seed in (1, 2, 3):
        sweep.reach(seed, 10, loss=seed / 10)
    assert not goes_on(sweep, 1)
    assert not sweep.content.entries[sweep.run(1).path.name].left, "its new job decides by itself"


def test_a_run_that_was_tried_after_the_decision_and_has_no_value_does_not_go_on(sweep: Sweep) -> None:
    """As where its settings are refused once it has been queued."""
    for seed in (1, 2, 3):
        sweep.queue(seed)
    assert not goes_on(sweep, 1)
    assert not sweep.content.entries[sweep.run(1).path.name].left
