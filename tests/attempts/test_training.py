"""The attempts at one run of a search in a batch job, on a machine without Slurm. The training is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.attempts import training
from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, Queued
from passingloop.rundir.submission import Home, Submission
from passingloop.rundir.tasks import TrainTask
from tests.conftest import Compose
from tests.search.made_points import STEPS, Sweep


@pytest.fixture
def sweep(compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sweep:
    """Two points, of which the second has come to the first rung. We are in a job."""
    job = {"JOB_ID": "1", "JOB_NODELIST": "n1", "JOB_NUM_NODES": "1", "CPUS_ON_NODE": "1", "RESTART_COUNT": "0"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", "")
    sweep = Sweep(compose, "resources.gpus=0", "resources.cpus=1", f"cache_root={tmp_path}/cache", eta=2)
    sweep.add(1, 2)
    sweep.decide()
    for seed in (1, 2):
        sweep.queue(seed)
    sweep.reach(2, round(STEPS / 4), loss=9.9)
    return sweep


def exit_code(sweep: Sweep, trains: Callable[[RunConfig], int], monkeypatch: pytest.MonkeyPatch) -> int:
    """That of the job of the first point, in which `trains` is called for each attempt."""

    def carry_out(run: RunDir, config: RunConfig, *_: object) -> int:
        assert run == sweep.run(1)
        return trains(config)

    monkeypatch.setattr(training, "carry_out", carry_out)
    home = Home.for_user(sweep.file.folder.parent)
    home.create()
    submission = Submission(home, "a-submission")
    submission.folder.mkdir()
    submission.record.touch()
    task = TrainTask(run=sweep.run(1), code={}, settings=to_plain(sweep.config(1)))
    return training.train(task, submission, Path("code"))


def test_the_best_point_is_trained_to_the_end_in_its_job(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []

    def trains(config: RunConfig) -> int:
        pauses.append(config.trainer.pause_at)
        sweep.reach(1, round(STEPS * (pauses[-1] or 1)), loss=0.1)
        return 0

    assert exit_code(sweep, trains, monkeypatch) == 0
    assert pauses == [0.25, 0.5, None]


def test_a_run_that_goes_on_in_a_job_with_more_memory_is_left_to_it(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What submits that job is a stand-in as well."""
    attempts = []

    def trains(config: RunConfig) -> int:
        assert not attempts, "it was trained on beside its new job"
        attempts.append(config)
        sweep.begin(1)
        sweep.end(1, "oom", 4)
        ledger.append(sweep.run(1), Decision(attempt=len(attempts), action="resubmit", reason="more memory"))
        return 1

    def submits(run: RunDir, *_: object, **__: object) -> bool:
        ledger.append(run, Queued(submission="with-more-memory", job_id="2", after=1))
        return False

    monkeypatch.setattr(training, "act_on_decision", submits)
    assert exit_code(sweep, trains, monkeypatch) == 1
    assert len(attempts) == 1
