"""States from answers of Slurm that are some seconds old, beside ledgers that are newer or older than they are."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from passingloop import site
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Event, Queued
from passingloop.slurm.polling.polled_queue import polled_jobs, question_about
from passingloop.status.query import shown_states, states_of
from tests.slurm.polling.test_polled_queue import keep, own, record

USER = os.getuid()
SUBMISSION = "20261121T080605-a1b2c3"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run, on a machine where Slurm is asked once in an hour, and does not answer now."""
    for name in ("runtime", "bin", "etc"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "etc" / "passingloop.toml").write_text("poll_seconds = 3600\n")
    (tmp_path / "etc" / "slurm.conf").touch()
    monkeypatch.setattr(site, "ROOT", USER)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "etc" / "slurm.conf"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    run = RunDir(tmp_path / "runs" / "name" / "0123456789ab")
    run.path.mkdir(parents=True)
    return run


def happened(run: RunDir, event: Event, ago: float) -> None:
    time_of_event = datetime.fromtimestamp(time.time() - ago, UTC).isoformat(timespec="milliseconds")
    ledger.append(run, replace(event, time=time_of_event))


def slurm_said(text: str, ago: float) -> None:
    """To a command of this user, about the jobs of this user."""
    keep(own(), text, question=question_about({USER}), age=ago)


QUEUED = Queued(submission=SUBMISSION, job_id="12")
WAITS = record(U=str(USER), o=f"/runs/submissions/{SUBMISSION}/submission.sh")


@pytest.mark.parametrize(
    ("said", "expected"),
    [(WAITS, ("pending", True, "jobs of higher priority are before it")), ("", ("lost", True, None))],
)
def test_an_answer_after_the_last_event_counts(run: RunDir, said: str, expected: tuple[str, bool, str | None]) -> None:
    happened(run, QUEUED, ago=60)
    slurm_said(said, ago=30)
    [state] = shown_states([run])
    assert (state.kind, state.confirmed) == expected[:2]
    assert expected[2] is None or state.message == expected[2]


def test_what_was_submitted_since_is_not_lost(run: RunDir) -> None:
    slurm_said("", ago=60)
    happened(run, QUEUED, ago=30)
    [state] = shown_states([run])
    assert (state.kind, state.confirmed, state.message) == ("pending", False, "it has just been submitted")


def test_what_was_cancelled_since_is_said_to_be(run: RunDir) -> None:
    happened(run, QUEUED, ago=90)
    slurm_said(WAITS, ago=60)
    happened(run, Cancel(), ago=30)
    [state] = shown_states([run])
    assert (state.kind, state.confirmed, state.message) == ("pending", False, "it has just been told to stop")


def test_an_event_from_a_clock_that_is_fast_does_not_make_answers_old(run: RunDir) -> None:
    slurm_said(WAITS, ago=30)
    happened(run, QUEUED, ago=-600)
    [state] = shown_states([run])
    assert (state.kind, state.confirmed) == ("pending", True)


def test_decisions_are_not_taken_from_an_answer_that_was_kept(run: RunDir) -> None:
    happened(run, QUEUED, ago=60)
    slurm_said(WAITS, ago=30)
    assert polled_jobs({USER}).jobs
    [state] = states_of([run])
    assert not state.confirmed, "Slurm has been asked, and is not here"
