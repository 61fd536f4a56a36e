"""A run at rest: its state is the one that its directory would give, and the directory need not be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Decision, End, Event, JobRef, Queued, Start, Wait
from passingloop.rundir.ledger import Ledger
from passingloop.slurm.polling.polled_queue import Snapshot
from passingloop.slurm.queue import Job
from passingloop.status import query
from passingloop.status.query import shown_states, states_of
from passingloop.status.rest import rest_of
from passingloop.status.state import Observations, needs_accounting, state_of
from tests.cli.made import Runs
from tests.conftest import Compose
from tests.status.test_state import job

SUBMISSION = "20261121T080605-a1b2c3"


def event(kind: str, attempt: int, second: int, cause: Any, action: Any, job_id: str | None) -> Event:
    time: Any = {"time": f"2026-11-03T09:15:{second:02d}.000+00:00"}
    submission = SUBMISSION if job_id else None
    match kind:
        case "queued":
            return Queued(
                submission=SUBMISSION, job_id=job_id or "7", data=[JobRef(SUBMISSION, "5")] * (second % 2), **time
            )
        case "start":
            usual: Any = {"nodes": ["n1"], "processes": 1, "start_step": 0, "code": {}}
            launcher = "slurm" if job_id else "shell"
            return Start(attempt=attempt, launcher=launcher, job_id=job_id, submission=submission, **usual, **time)
        case "end":
            return End(attempt=attempt, end_step=3, cause=cause, **time)
        case "decision":
            return Decision(attempt=attempt, action=action, reason="It is so.", **time)
        case "wait":
            return Wait(attempt=attempt, reason="for the lock", **time)
    return Cancel(**time)


EVENTS = st.builds(
    event,
    st.sampled_from(["queued", "start", "start", "end", "end", "decision", "cancel", "wait"]),
    st.integers(1, 2),
    st.integers(0, 59),
    st.sampled_from(["completed", "preempted", "timeout", "interrupted", "cancelled", "crash", "oom", "new in 2030"]),
    st.sampled_from(["again", "requeue", "resubmit", "stop"]),
    st.sampled_from([None, "7", "7_1"]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(EVENTS, max_size=6), st.booleans(), st.booleans(), st.sampled_from([None, "7", "7_1", "8"]))
def test_a_state_at_rest_is_the_state(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], finished: bool, is_locked: bool, queued: str | None
) -> None:
    run, history = RunDir(tmp_path_factory.getbasetemp() / "run"), Ledger(tuple(events))
    rest = rest_of(run, history, finished=finished)
    jobs = {queued: job("RUNNING", job_id=queued, script=f"/{SUBMISSION}/")} if queued else {}
    if rest and rest.holds(Snapshot(asked=rest.newest, jobs=jobs)):
        observations = Observations(finished=finished, is_locked=is_locked, jobs=jobs)
        assert rest.state == state_of(run, history, observations)
        assert finished or not needs_accounting(rest.state, history)
        assert not rest.state.is_active


@pytest.fixture
def runs(compose: Compose) -> Runs:
    return Runs(compose)


def failed_run(runs: Runs) -> RunDir:
    run = runs.new("name=failed")
    ledger.append(run, Queued(submission=SUBMISSION, job_id="7"))
    runs.start(run, launcher="slurm", job_id="7", submission=SUBMISSION)
    return runs.end(run, "crash")


def test_a_completed_run_is_at_rest_whatever_slurm_says(runs: Runs) -> None:
    run = runs.completed("name=done")
    rest = rest_of(run, ledger.read(run), finished=True)
    assert rest
    assert rest.state.kind == "completed"
    assert rest.holds(Snapshot(asked=0.0, jobs=None))


def test_a_failed_run_wakes_when_slurm_has_its_job(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has requeued it by hand."""
    run = failed_run(runs)
    rest = rest_of(run, ledger.read(run), finished=False)
    assert rest
    jobs: dict[str, Job] = {}
    monkeypatch.setattr(query.queue, "jobs", lambda users: jobs)  # type: ignore[attr-defined]
    assert [state.kind for state in states_of([run], {run: rest})] == ["failed"]
    jobs["7"] = job("PENDING", job_id="7", script=f"/{SUBMISSION}/")
    assert [state.kind for state in states_of([run], {run: rest})] == ["pending"]
    assert states_of([run], {run: rest}) == states_of([run])


@pytest.mark.parametrize("asked", [0.0, 1e12])
def test_an_answer_that_is_older_than_the_run_settles_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, asked: float
) -> None:
    run, other = failed_run(runs), runs.completed("name=done")
    rests = {one: rest for one in (run, other) if (rest := rest_of(one, ledger.read(one), finished=one == other))}
    assert len(rests) == 2
    for jobs in ({}, None):
        monkeypatch.setattr(query, "polled_jobs", lambda *_, jobs=jobs, **__: Snapshot(asked=asked, jobs=jobs))
        assert shown_states([other, run], rests=rests) == shown_states([other, run])


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event("queued", 1, 2, None, None, "7")],
        [event("start", 1, 1, None, None, None)],
        [event("start", 1, 1, None, None, "7"), event("end", 1, 2, "preempted", None, None)],
        [event("start", 1, 1, None, None, "7"), event("end", 1, 2, "node_fail", None, None)],
        [
            event("start", 1, 1, None, None, None),
            event("end", 1, 2, "crash", None, None),
            event("decision", 1, 3, None, "again", None),
        ],
    ],
)
def test_what_may_be_at_work_is_not_at_rest(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> None:
    assert rest_of(RunDir(tmp_path_factory.getbasetemp() / "run"), Ledger(tuple(events)), finished=False) is None
