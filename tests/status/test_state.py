"""How a run stands, from its ledger and from what Slurm and its lock say: tables of what may come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Action, Cancel, Cause, Decision, End, Event, JobRef, Queued, Request, Start, Wait
from passingloop.rundir.ledger import Ledger
from passingloop.slurm.accounting import JobEnd
from passingloop.slurm.queue import Job
from passingloop.status.state import Kind, Observations, State, state_of
from tests.rundir.events import start

RUN = RunDir(Path("runs/name/0123456789ab"))
T0 = 1_760_000_000.0
"""Of the first line, in seconds since the epoch; each further one is a second later."""


def ledger(*events: Event) -> Ledger:
    times = (datetime.fromtimestamp(T0 + index, UTC).isoformat() for index in range(len(events)))
    return Ledger(tuple(replace(event, time=time) for event, time in zip(events, times, strict=True)))


def queued(job_id: str = "12", submission: str = "first", data: Sequence[JobRef] = ()) -> Queued:
    return Queued(job_id=job_id, submission=submission, data=list(data))


def here(attempt: int = 1) -> Start:
    return start(attempt, None, None)


def end(cause: Cause, attempt: int = 1) -> End:
    return End(attempt=attempt, end_step=7, cause=cause, message=f"by {cause}")


CANCEL = Cancel()


def decided(action: Action, attempt: int = 1) -> Decision:
    return Decision(attempt=attempt, action=action, reason=f"because of {action}")


def job(state: str, **known: Any) -> Job:
    plain: dict[str, Any] = {
        "job_id": "12",
        "array_id": "12",
        "name": "name",
        "user": 1000,
        "state": state,
        "reason": "Priority" if state == "PENDING" else "None",
        "nodes": "" if state == "PENDING" else "n[1-2]",
        "submitted": T0,
        "started": None if state == "PENDING" else T0,
        "ends": None,
        "limit": None,
        "partition": "main",
        "account": "team",
        "qos": "production",
        "script": "/runs/.passingloop-1000/submissions/first/submission_file_x.sh",
    }
    return Job(**{**plain, **known})


def slurm(state: str, **known: Any) -> Observations:
    found = job(state, **known)
    return Observations(jobs={found.job_id: found})


def accounted(state: str) -> Observations:
    return Observations(job_ends={"12": JobEnd(job_id="12", state=state, exit_code=1, time=T0 + 99)})


SILENT = Observations(jobs=None)
FORGOTTEN = Observations()


def seen(written: Ledger, known: Observations) -> State:
    return state_of(RUN, written, known)


# --- in the queue --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "known", "kind"),
    [
        ([queued()], slurm("PENDING"), "pending"),
        ([queued()], slurm("CONFIGURING"), "running"),
        ([queued()], slurm("RUNNING"), "running"),
        ([queued()], slurm("CANCELLED"), "cancelled"),
        ([queued()], slurm("FAILED"), "failed"),
        ([queued()], slurm("COMPLETED"), "lost"),
        ([queued()], slurm("NODE_FAIL"), "lost"),
        ([queued()], slurm("LAUNCH_FAILED"), "pending"),
        ([queued()], slurm("SOMETHING_NEW"), "running"),
        ([queued()], FORGOTTEN, "lost"),
        ([queued(), CANCEL], FORGOTTEN, "cancelled"),
        ([queued()], accounted("CANCELLED"), "cancelled"),
        ([queued()], accounted("FAILED"), "failed"),
        ([queued("12_3")], slurm("PENDING", job_id="12_3"), "pending"),
        ([queued("12_3")], slurm("CANCELLED"), "cancelled"),
        ([queued(), start()], slurm("RUNNING"), "running"),
        ([queued(), start()], slurm("COMPLETING"), "running"),
        ([queued(), start()], slurm("PENDING"), "pending"),
        ([queued(), start()], slurm("CANCELLED"), "cancelled"),
        ([queued(), start()], slurm("TIMEOUT"), "lost"),
        ([queued(), start()], FORGOTTEN, "lost"),
        ([queued(), start()], accounted("NODE_FAIL"), "lost"),
        ([queued(), start(), CANCEL], FORGOTTEN, "cancelled"),
        ([queued(), start(), CANCEL], slurm("COMPLETING"), "running"),
        ([queued(), start(), end("preempted")], slurm("PENDING"), "pending"),
        ([queued(), start(), end("preempted")], slurm("COMPLETING"), "running"),
        ([queued(), start(), end("requeued")], slurm("COMPLETING"), "running"),
        ([queued(), start(), end("requeued")], FORGOTTEN, "interrupted"),
        ([queued(), start(), end("preempted")], FORGOTTEN, "interrupted"),
        ([queued(), start(), end("preempted")], accounted("CANCELLED"), "cancelled"),
        ([queued(), start(), end("preempted"), CANCEL], FORGOTTEN, "cancelled"),
        ([queued(), start(), end("crash")], slurm("COMPLETING"), "failed"),
        ([queued(), start(), end("crash")], slurm("RUNNING", started=T0 + 60), "running"),
        ([queued(), start(), end("crash"), CANCEL], FORGOTTEN, "failed"),
        ([queued(), start(), end("timeout")], slurm("TIMEOUT"), "interrupted"),
        ([queued(), start(), end("node_fail")], FORGOTTEN, "lost"),
        ([queued(), start(), end("hung")], FORGOTTEN, "failed"),
        ([queued(), start(), end("idle")], FORGOTTEN, "interrupted"),
        ([queued(), start(), end("oom")], FORGOTTEN, "failed"),
        ([queued(), start(), end("cancelled")], slurm("FAILED"), "cancelled"),
        ([queued(), start(), end("completed")], slurm("COMPLETED"), "lost"),
        ([queued(), start(), end("preempted"), start(2)], slurm("RUNNING"), "running"),
        ([queued(), start(), end("crash"), queued()], slurm("PENDING"), "pending"),
        ([queued(), start(), end("crash"), queued()], slurm("RUNNING"), "running"),
        ([queued(), start(), CANCEL, end("cancelled"), queued()], slurm("PENDING"), "pending"),
    ],
)
def test_a_submitted_run(lines: list[Event], known: Observations, kind: Kind) -> None:
    state = seen(ledger(*lines), known)
    assert (state.kind, state.confirmed, state.launcher) == (kind, True, "slurm")
    assert seen(ledger(*lines), replace(known, finished=True)).kind == "completed"


@pytest.mark.parametrize(
    ("lines", "kind", "confirmed"),
    [
        ([queued()], "pending", False),
        ([queued(), start()], "running", False),
        ([queued(), start(), end("preempted")], "pending", False),
        ([queued(), start(), end("paused")], "paused", False),
        ([queued(), start(), end("crash")], "failed", True),
        ([queued(), start(), end("cancelled")], "cancelled", True),
    ],
)
def test_when_slurm_does_not_answer_it_is_what_was_known_last(lines: list[Event], kind: Kind, confirmed: bool) -> None:
    state = seen(ledger(*lines), SILENT)
    assert (state.kind, state.confirmed) == (kind, confirmed)


def test_another_clusters_job_of_the_same_number_is_not_the_runs() -> None:
    other = slurm("RUNNING", script="/elsewhere/submissions/second/submission_file_x.sh")
    assert seen(ledger(queued(), start()), other).kind == "lost"
    assert seen(ledger(queued(), start()), slurm("RUNNING", script="")).kind == "lost"


def test_a_job_that_slurm_hides_is_known_by_the_lock() -> None:
    state = seen(ledger(queued(), start()), Observations(is_locked=True))
    assert (state.kind, state.confirmed) == ("running", False)
    assert seen(ledger(queued(), start()), replace(slurm("FAILED"), is_locked=True)).kind == "lost"


def waits(reason: str | None, attempt: int = 1) -> Wait:
    return Wait(attempt=attempt, reason=reason)


@pytest.mark.parametrize(
    ("lines", "known", "shown"),
    [
        ([queued(), start(), waits("a node")], slurm("RUNNING"), ("a node", T0 + 2)),
        ([queued(), start(), waits("a node"), waits("memory")], slurm("RUNNING"), ("memory", T0 + 2)),
        ([queued(), start(), waits("a node")], SILENT, ("a node", T0 + 2)),
        ([queued(), waits("the lock")], slurm("RUNNING"), ("the lock", T0 + 1)),
        ([queued(), start(), waits("a node"), waits(None)], slurm("RUNNING"), (None, None)),
        ([queued(), start(), waits("a node"), end("timeout")], slurm("RUNNING"), (None, None)),
        ([queued(), start(), waits("a node")], slurm("RUNNING", started=T0 + 60), (None, None)),
        ([queued(), start(), waits("a node")], slurm("PENDING"), (None, None)),
        ([queued(), start(), waits("a node")], slurm("FAILED"), (None, None)),
        ([queued(), here(), waits("the lock", 2)], replace(slurm("RUNNING"), is_locked=True), (None, None)),
    ],
)
def test_what_a_running_job_waits_for(
    lines: list[Event], known: Observations, shown: tuple[str | None, float | None]
) -> None:
    state = seen(ledger(*lines), known)
    assert (state.waits_for, state.waits_since) == shown


def test_why_it_waits() -> None:
    state = seen(ledger(queued(), start(), end("preempted")), slurm("PENDING", started=T0 + 600))
    assert (state.reason, state.cause, state.nodes, state.attempt_start) == ("Priority", "preempted", (), None)
    assert "higher priority" in str(state.message)
    assert (state.since, state.expected_start, state.job_id, state.attempt, state.step) == (T0, T0 + 600, "12", 1, 7)


def test_how_it_died() -> None:
    assert "Slurm says OUT_OF_MEMORY" in str(seen(ledger(queued(), start()), slurm("OUT_OF_MEMORY")).message)
    assert "It never began" in str(seen(ledger(queued()), FORGOTTEN).message)
    died = seen(ledger(queued(), start()), accounted("NODE_FAIL"))
    assert "Slurm says NODE_FAIL" in str(died.message)
    assert died.since == T0 + 99
    assert seen(ledger(queued(), start(), end("crash")), FORGOTTEN).message == "by crash"


def test_where_and_since_when_it_trains() -> None:
    state = seen(ledger(queued(), start()), slurm("RUNNING"))
    assert (state.nodes, state.since, state.attempt_start) == (("n1", "n2"), T0, T0 + 1)
    again = seen(ledger(queued(), start()), slurm("RUNNING", started=T0 + 60))
    assert again.attempt_start is None, "requeued since: its next attempt has not begun"
    assert seen(ledger(queued()), slurm("RUNNING")).attempt_start is None
    assert "SUSPENDED" in str(seen(ledger(queued(), start()), slurm("SUSPENDED")).message)


# --- what was decided ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "action", "known", "kind"),
    [
        ("crash", "again", slurm("RUNNING"), "running"),
        ("crash", "again", slurm("FAILED"), "failed"),
        ("crash", "again", FORGOTTEN, "failed"),
        ("crash", "stop", slurm("COMPLETING"), "failed"),
        ("crash", "stop", FORGOTTEN, "failed"),
        ("preempted", "requeue", slurm("RUNNING"), "pending"),
        ("preempted", "requeue", slurm("COMPLETING"), "pending"),
        ("preempted", "requeue", slurm("PENDING"), "pending"),
        ("preempted", "requeue", slurm("RUNNING", started=T0 + 60), "running"),
        ("preempted", "requeue", slurm("CANCELLED"), "cancelled"),
        ("preempted", "requeue", FORGOTTEN, "interrupted"),
        ("preempted", "stop", slurm("RUNNING"), "interrupted"),
        ("timeout", "requeue", slurm("COMPLETING"), "pending"),
        ("timeout", "requeue", slurm("RUNNING", started=T0 + 60), "running"),
        ("timeout", "stop", slurm("FAILED"), "interrupted"),
        ("node_fail", "again", slurm("RUNNING", started=T0 + 1), "running"),
        ("node_fail", "resubmit", slurm("RUNNING"), "pending"),
        ("oom", "resubmit", slurm("COMPLETING"), "pending"),
        ("oom", "resubmit", FORGOTTEN, "failed"),
        ("fenced", "stop", FORGOTTEN, "failed"),
        ("fenced", "migrate", slurm("PENDING"), "pending"),
    ],
)
def test_after_a_decision(cause: Cause, action: Action, known: Observations, kind: Kind) -> None:
    """Also causes and actions that only another version knows."""
    lines = ledger(queued(), start(), end(cause), decided(action))
    state = seen(lines, known)
    assert (state.kind, state.action, state.decision_reason) == (kind, action, f"because of {action}")


def test_a_decision_is_past_once_the_next_attempt_has_begun() -> None:
    lines = [queued(), start(), end("crash"), decided("again")]
    assert seen(ledger(*lines, start(2)), slurm("RUNNING")).action is None
    assert seen(ledger(*lines, start(2), end("crash", 2)), slurm("FAILED")).action is None
    other = ledger(queued(), start(), end("oom"), decided("resubmit"), queued())
    assert (seen(other, slurm("PENDING")).kind, seen(other, slurm("PENDING")).action) == ("pending", None)


def test_a_run_in_a_shell_that_starts_again_by_itself() -> None:
    lines = ledger(here(), end("oom"), decided("again"))
    assert seen(lines, Observations(is_locked=True)).kind == "running"
    assert seen(lines, Observations()).kind == "failed"


# --- in a shell ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "held", "kind"),
    [
        ([], False, "missing"),
        ([], True, "running"),
        ([here()], True, "running"),
        ([here()], False, "lost"),
        ([here(), CANCEL], True, "running"),
        ([here(), CANCEL], False, "cancelled"),
        ([here(), CANCEL, end("cancelled")], False, "cancelled"),
        ([here(), end("interrupted")], False, "interrupted"),
        ([here(), end("crash")], False, "failed"),
        ([here(), end("crash")], True, "failed"),
        ([here(), end("interrupted"), here(2)], True, "running"),
    ],
)
def test_a_run_in_a_shell(lines: list[Event], held: bool, kind: Kind) -> None:
    for jobs in ({}, None):  # Slurm has no say in it
        state = seen(ledger(*lines), Observations(is_locked=held, jobs=jobs))
        assert (state.kind, state.confirmed) == (kind, True)


def test_a_shell_in_an_allocation_is_no_job_to_be_cancelled() -> None:
    state = seen(ledger(start(1, None)), replace(slurm("RUNNING"), is_locked=False))
    assert (state.kind, state.launcher, state.job_id) == ("lost", "shell", "12")


@pytest.mark.parametrize(
    ("job_state", "kind"), [("PENDING", "pending"), ("RUNNING", "running"), ("FAILED", "interrupted")]
)
def test_a_run_that_was_queued_and_then_trained_here(job_state: str, kind: Kind) -> None:
    lines = ledger(queued(), here(), end("interrupted"))
    assert seen(lines, slurm(job_state, started=T0 + 60)).kind == kind
    assert seen(ledger(queued(), here()), replace(slurm("PENDING"), is_locked=True)).kind == "running"


def test_shards_are_not_whole_gpus() -> None:
    asked = replace(queued(), request=Request(nodes=1, gpus=0, shards=2, cluster="dev"))
    begun = replace(start(), gpus=1)
    for state in (
        state_of(RUN, ledger(asked), slurm("PENDING")),
        state_of(RUN, ledger(asked, begun), slurm("RUNNING")),
    ):
        assert (state.gpus, state.shards) == (0, 2)
    whole = state_of(RUN, ledger(asked, replace(begun, job_id=None, submission=None)), Observations(is_locked=True))
    assert (whole.gpus, whole.shards) == (1, None), "an attempt elsewhere"


def test_a_member_of_a_pack_that_has_not_begun_waits_for_its_turn() -> None:
    told = Wait(attempt=1, reason="Other runs that share its job train before it.")
    state = state_of(RUN, ledger(queued(), told), slurm("RUNNING", started=T0))
    assert (state.kind, state.waits_for) == ("running", told.reason)


def test_a_paused_run_is_over_once_its_job_has_decided_what_follows() -> None:
    """Its job may train it on, to the next rung of a search."""
    paused = ledger(queued(), start(1), end("paused"))
    assert state_of(RUN, paused, slurm("RUNNING")).kind == "running"
    assert state_of(RUN, paused, slurm("COMPLETED", ends=T0 + 9)).kind == "paused"
    assert state_of(RUN, paused, slurm("CANCELLED", ends=T0 + 9)).kind == "paused", "killed before it decided"
    assert state_of(RUN, paused, SILENT).kind == "paused"
    assert state_of(RUN, ledger(here(), end("paused")), Observations()).kind == "paused"
    assert state_of(RUN, ledger(here(), end("paused"), CANCEL), Observations()).kind == "cancelled"
