"""The ledger is read back as what was written, whichever version wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Decision, End, Event, JobRef, Queued, Request, Seconds, Start, StopRequest
from passingloop.rundir.ledger import Ledger
from tests.rundir.events import start

TIME = "2026-11-21T08:06:05.123+00:00"
SUBMISSION = "20261121T080605-a1b2c3"

# What commit e109770, of November 2026, wrote for EVENTS.
WRITTEN = (
    '{"submission": "20261121T080605-a1b2c3", "job_id": "12_3", "after": null, "data": '
    '["20261121T080604-d4e5f6/11"], "event": "queued", "time": "2026-11-21T08:06:05.123+00:00"}'
    "\n"
    '{"attempt": 1, "launcher": "slurm", "job_id": "12_3", "nodes": ["n1", "n2"], "processes": 2, '
    '"start_step": 0, "code": {"version": "1"}, "submission": "20261121T080605-a1b2c3", "event": "start", '
    '"time": "2026-11-21T08:06:05.123+00:00"}'
    "\n"
    '{"attempt": 1, "end_step": 7, "cause": "oom", "message": "killed — by SIGKILL", "memory": "host", '
    '"tokens": null, "seconds": {"queued": 1.5, "starting": 0.0, "training": 3.0, "saving": 0.0, "lost": '
    '0.0}, "event": "end", "time": "2026-11-21T08:06:05.123+00:00"}'
    "\n"
    '{"attempt": 1, "action": "resubmit", "reason": "why", "exclude": ["n2"], "mem": "8G", "event": '
    '"decision", "time": "2026-11-21T08:06:05.123+00:00"}'
    "\n"
    '{"event": "cancel", "time": "2026-11-21T08:06:05.123+00:00"}'
    "\n"
)

EVENTS: tuple[Event, ...] = (
    Queued(submission=SUBMISSION, job_id="12_3", data=[JobRef("20261121T080604-d4e5f6", "11")], time=TIME),
    Start(
        attempt=1,
        launcher="slurm",
        job_id="12_3",
        nodes=["n1", "n2"],
        processes=2,
        start_step=0,
        code={"version": "1"},
        submission=SUBMISSION,
        time=TIME,
    ),
    End(
        attempt=1,
        end_step=7,
        cause="oom",
        message="killed — by SIGKILL",
        memory="host",
        seconds=Seconds(queued=1.5, training=3.0),
        time=TIME,
    ),
    Decision(attempt=1, action="resubmit", reason="why", exclude=["n2"], mem="8G", time=TIME),
    Cancel(time=TIME),
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def test_the_file_is_what_it_has_always_been(run: RunDir) -> None:
    assert ledger.read(run) == Ledger()
    run.attempts.write_text(WRITTEN)
    assert ledger.read(run) == Ledger(EVENTS)
    run.attempts.unlink()
    events = [replace(event, token="f00d") if isinstance(event, Start) else event for event in EVENTS]
    for event in events:
        ledger.append(run, event)
    assert run.attempts.read_text() == WRITTEN.replace('"event": "start"', '"token": "f00d", "event": "start"')
    assert ledger.read(run) == Ledger(tuple(events))


def test_the_size_of_a_job_is_kept(run: RunDir) -> None:
    request = Request(nodes=2, gpus=4, cluster="dev", expected_start=TIME)
    events: tuple[Event, ...] = (
        Queued(submission=SUBMISSION, job_id="12", request=request, time=TIME),
        start(1, gpus=4, time=TIME),
        Decision(attempt=1, action="resubmit", reason="why", nodes=1, gpus=2, time=TIME),
    )
    for event in events:
        ledger.append(run, event)
    assert ledger.read(run) == Ledger(events)


def test_a_job_is_replaced_by_one_that_was_submitted_later() -> None:
    first, second = (Queued(submission=name, job_id="12") for name in ("first", "second"))
    events = (first, start(1), End(attempt=1, end_step=7, cause="preempted"), second, start(2, "second", "13"))
    history = Ledger(events)
    assert [history.is_replaced(name) for name in ("first", "second")] == [True, False]
    assert not Ledger((first, start(1))).is_replaced("first")
    assert not history.is_replaced("third"), "it has begun before its line was written"


def test_fields_that_an_early_version_did_not_write_have_their_defaults(run: RunDir) -> None:
    run.attempts.write_text(
        f'{{"event": "queued", "submission": "s", "job_id": "12", "time": "{TIME}"}}\n'
        f'{{"event": "end", "attempt": 1, "end_step": 7, "cause": "crash", "seconds": {{}}, "time": "{TIME}"}}\n'
    )
    expected = (Queued(submission="s", job_id="12", time=TIME), End(attempt=1, end_step=7, cause="crash", time=TIME))
    assert ledger.read(run) == Ledger(expected)


def test_a_later_version_may_add_fields_and_events(run: RunDir) -> None:
    run.attempts.write_text(
        f'{{"event": "cancel", "by": "someone", "time": "{TIME}"}}\n'
        f'{{"event": "suspended", "time": "{TIME}"}}\n'
        f'{{"kind": "moved", "time": "{TIME}"}}\n'
        f'{{"event": "start", "number": 1, "time": "{TIME}"}}\n'
        f'{{"event": "end", "attempt": 1, "end_step": 7, "cause": "crash", "seconds": null, "time": "{TIME}"}}\n'
        f'{{"event": "queued", "submission": "s", "job_id": "1", "data": [7], "time": "{TIME}"}}\n'
        '["end"]\n'
        f'{{"event": "end", "attempt": 1, "end_step": 7, "cause": "crash", "seconds": {{"lost": 1.0, "idle": 2.0}}, '
        f'"time": "{TIME}"}}\n'
    )
    end = End(attempt=1, end_step=7, cause="crash", seconds=Seconds(lost=1.0), time=TIME)
    assert ledger.read(run) == Ledger((Cancel(time=TIME), end))


@pytest.mark.parametrize(
    "damage",
    [
        {"time": "yesterday"},
        {"time": 7},
        {"attempt": "1"},
        {"attempt": None},
        {"nodes": None},
        {"nodes": [7]},
        {"gpus": "4"},
        {"job_id": 12},
        {"event": []},
    ],
)
def test_a_line_with_values_of_other_types_is_ignored(run: RunDir, damage: dict[str, object]) -> None:
    """One such line, perhaps in another user's run, is not to end a command about many runs."""
    ledger.append(run, start(1, gpus=4, time=TIME))
    row = json.loads(run.attempts.read_text())
    run.attempts.write_text(f"{json.dumps(row | damage)}\n{json.dumps(row)}\n")
    assert ledger.read(run) == Ledger((start(1, gpus=4, time=TIME),))


@pytest.mark.parametrize("damage", [{"seconds": {"lost": "much"}}, {"message": 7}, {"cause": []}, {"end_step": "x"}])
def test_so_is_an_end(run: RunDir, damage: dict[str, object]) -> None:
    ledger.append(run, End(attempt=1, end_step=7, cause="crash", time=TIME))
    run.attempts.write_text(json.dumps(json.loads(run.attempts.read_text()) | damage) + "\n")
    assert ledger.read(run) == Ledger()


def test_what_a_superseded_attempt_still_writes_does_not_count(run: RunDir) -> None:
    counted = (start(1), start(2, token="one"), End(attempt=2, end_step=5, cause="crash", time=TIME))
    late = (
        Decision(attempt=1, action="requeue", reason="late", time=TIME),
        End(attempt=1, end_step=9, cause="completed", time=TIME),
        start(2, token="another launcher's"),
    )
    for event in (*counted[:2], *late, counted[2]):
        ledger.append(run, event)
    assert ledger.read(run) == Ledger(counted)


def test_of_two_ends_of_an_attempt_the_first_counts(run: RunDir) -> None:
    """The supervisor has found it hung, and a process that is about to be killed writes its own view."""
    counted = (start(1), End(attempt=1, end_step=5, cause="hung", rank=1, time=TIME), start(2))
    for event in (*counted[:2], End(attempt=1, end_step=5, cause="crash", time=TIME), counted[2]):
        ledger.append(run, event)
    assert ledger.read(run) == Ledger(counted)


def test_a_request_to_stop_is_that_of_the_newest_attempt(run: RunDir) -> None:
    request = StopRequest(attempt=1, cause="idle", message="why", time=TIME)
    for event in (start(1), request):
        ledger.append(run, event)
    assert ledger.read(run).stop_request == request
    ledger.append(run, start(2))
    assert ledger.read(run).stop_request is None


def test_attempts_are_numbered_from_one_on(run: RunDir) -> None:
    assert ledger.read(run).next_attempt == 1
    ledger.append(run, start(1))
    assert ledger.read(run).next_attempt == 2, "an attempt that was killed keeps its number"
    assert ledger.read(run).end(1) is None
    ledger.append(run, End(attempt=1, end_step=3, cause="crash", message="x"))
    assert ledger.read(run).end(1) is not None
    ledger.append(run, start(2))
    with run.attempts.open("a") as file:
        file.write('{"attempt": 3, "eve')
    assert ledger.read(run).next_attempt == 3
    ledger.append(run, start(3))
    assert ledger.read(run).next_attempt == 4


def test_who_has_launched_the_run_last() -> None:
    queued, shell = Queued(submission="second", job_id="13"), start(2, None)
    jobs = [JobRef("first", "12"), JobRef("second", "13")]
    written = Ledger((start(1), queued, shell, Cancel()))
    assert (written.newest_launch, written.jobs, written.newest_job) == (shell, jobs, jobs[-1])
    assert written.is_cancel_requested
    assert not Ledger((*written.events, queued)).is_cancel_requested
    assert Ledger((*written.events, End(attempt=2, end_step=1, cause="cancelled"))).is_cancel_requested


def test_what_a_person_has_caused_last() -> None:
    again = Decision(attempt=2, action="again", reason="why")
    begun, follows = start(2, None), Queued(submission="s", job_id="14", after=2)
    events = (start(1), begun, again, start(3, None), follows, start(4))
    assert Ledger(events).since_user_action == Ledger(events[1:])
    assert Ledger(events[:1]).since_user_action == Ledger(events[:1])
