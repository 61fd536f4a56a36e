"""The jobs of a search: what they ask for, and what they do once their run has come to a rung."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.plan import signature
from passingloop.rundir import ledger, record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, Queued
from passingloop.rundir.submission import Home, Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.search import sweep_ledger
from passingloop.search.decision_round import Owed
from passingloop.slurm.capacity.facts import read_facts
from passingloop.submit import search_points
from passingloop.submit.arrays import Submitter
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


@pytest.fixture
def promoted(sweep: Sweep) -> Sweep:
    """The first point has been promoted, and the fourth is to be submitted."""
    for seed in (1, 2, 3):
        sweep.queue(seed)
        sweep.reach(seed, 10, loss=seed / 10)
    assert sweep.decide(without=1) == set()
    sweep.add(4)
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


def test_a_promoted_run_goes_on_though_something_else_cannot_be_submitted(
    promoted: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goes_on(promoted, 1)
    said = capsys.readouterr().err
    assert "error: What follows in the search could not be submitted: There is no scontrol here" in said
    assert promoted.decide(without=1) == {(4, 0)}, "whoever decides next tries again"


def test_a_slurm_that_does_not_answer_is_asked_again(
    promoted: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for scontrol: it has no answer at first, and refuses then."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(
        "#!/bin/sh\n"
        'case "$*" in *partition*) ;; *) exit 0 ;; esac\n'
        f"/bin/mkdir {tmp_path}/asked 2>&- && echo 'error: Unable to contact slurm controller' >&2 && exit 1\n"
        "echo 'error: Access denied' >&2; exit 1\n"
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent))
    monkeypatch.setattr(search_points, "PAUSE", 0.0)
    assert goes_on(promoted, 1)
    assert "could not be submitted: scontrol: Access denied" in capsys.readouterr().err


def test_a_full_disk_is_said_and_the_job_ends_well(
    promoted: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for the write that fails: the ledgers of the runs are on the same disk."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sweep_ledger, "append_json_lines", full)
    assert not goes_on(promoted, 2)
    assert "error: What follows in the search could not be decided: [Errno 28]" in capsys.readouterr().err


def test_a_point_is_its_run_also_where_that_was_trained_again_beside_it(
    promoted: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Slurm, what it says of itself and what it is given are stand-ins."""
    given: list[RunDir] = []
    monkeypatch.setattr(search_points, "cluster_facts", lambda: read_facts("ClusterName = c", "", "", "", "me"))
    monkeypatch.setattr(Submitter, "submit", lambda _, runs: given.extend(runs))
    point = promoted.run(4)
    record.create(point, promoted.config(4), {})
    record.create(choose_run(replace(promoted.config(4), rerun=True)), promoted.config(4), {})
    assert goes_on(promoted, 1)
    assert given == [point]
