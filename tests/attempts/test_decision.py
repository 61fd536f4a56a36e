"""What follows from the end of an attempt: tables of ledgers, budgets and circumstances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from passingloop.attempts.decision import STALLED, Circumstances, decide, excluded_nodes
from passingloop.config.running import RetryConfig
from passingloop.rundir.events import Action, Cause, Decision, End, Event, Memory, Queued, StopRequest
from passingloop.rundir.ledger import Ledger
from tests.rundir.events import start

RETRY = RetryConfig(preempted=None, timeout=None, node_fail=2, crash=2, oom=2, hung=2, max_mem=None)
JOB = Circumstances(submitted=True, saved=100, nodes=("n1",))
SHELL = Circumstances(submitted=False, saved=100)


def queued(after: int | None = None) -> Queued:
    return Queued(submission="first", job_id="12", after=after)


def end(attempt: int, cause: Cause, step: int = 120, message: str | None = None, memory: Memory | None = None) -> End:
    return End(attempt=attempt, end_step=step, cause=cause, message=message, memory=memory)


def decided(attempt: int, action: Action, exclude: tuple[str, ...] = ()) -> Decision:
    return Decision(attempt=attempt, action=action, reason="why", exclude=list(exclude))


def history(*ends: End, action: Action = "again") -> list[Event]:
    """Attempts of one job with these ends, each a step further on than the one before."""
    events: list[Event] = [queued()]
    for last in ends:
        events += [start(last.attempt, start_step=last.attempt), last, decided(last.attempt, action)]
    return events[:-1]


def what(events: Sequence[Event], now: Circumstances = JOB, retry: RetryConfig = RETRY) -> Decision:
    decision = decide(Ledger(tuple(events)), retry, now)
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    ("last", "action", "words"),
    [
        (end(1, "requeued"), "requeue", "put back into the queue at step 120, by hand"),
        (end(1, "preempted"), "requeue", "made way for another job at step 120"),
        (end(1, "timeout"), "requeue", "at step 120, 119 steps further on"),
        (end(1, "crash", message="CUDA error."), "again", "Failure 1 of 2 came at step 120: CUDA error."),
        (end(1, "crash"), "again", "ended without giving a cause"),
        (end(1, "oom", memory="device"), "again", "halves the micro-batch"),
        (end(1, "oom"), "stop", "Memory ran out at step 120"),
        (end(1, "oom", memory="host"), "stop", "Set resources.mem"),
        (end(1, "node_fail"), "again", "A node failed at step 120"),
        (end(1, "hung", message="No progress."), "requeue", "It hung at step 120, time 1 of 2: No progress."),
        (end(1, "idle"), "stop", "Its GPUs were idle. Look in its log for what it waits for"),
    ],
)
def test_the_first_time(last: End, action: str, words: str) -> None:
    decision = what(history(last))
    assert (decision.action, decision.attempt) == (action, 1)
    assert words in decision.reason


@pytest.mark.parametrize("cause", ["completed", "cancelled", "interrupted"])
def test_what_a_person_ended_is_theirs(cause: Cause) -> None:
    assert decide(Ledger(tuple(history(end(1, cause)))), RETRY, JOB) is None
    assert decide(Ledger(), RETRY, JOB) is None


@pytest.mark.parametrize("cause", ["crash", "preempted", "requeued", "timeout", "node_fail", "oom", "hung", "idle"])
def test_in_a_shell_there_is_a_person(cause: Cause) -> None:
    assert decide(Ledger((start(1, None), end(1, cause))), RETRY, SHELL) is None


def test_in_a_shell_the_micro_batch_is_halved_as_often_as_is_allowed() -> None:
    lines: list[Event] = [start(1, None), end(1, "oom", memory="device")]
    assert what(lines, SHELL).action == "again"
    lines += [decided(1, "again"), start(2, None), end(2, "oom", memory="device")]
    assert what(lines, SHELL).action == "again"
    lines += [decided(2, "again"), start(3, None), end(3, "oom", memory="device")]
    assert what(lines, SHELL).action == "stop"
    by_hand = [*lines, decided(3, "stop"), start(4, None), end(4, "oom", memory="device")]
    assert what(by_hand, SHELL).action == "again"


@pytest.mark.parametrize(("cause", "action"), [("node_fail", "again"), ("crash", "again"), ("hung", "requeue")])
def test_a_budget_is_per_cause_and_ends(cause: Cause, action: Action) -> None:
    ends = [end(1, cause, 10), end(2, "preempted", 20), end(3, cause, 30), end(4, "preempted", 40), end(5, cause, 50)]
    assert what(history(*ends[:3])).action == action
    last = what(history(*ends))
    assert last.action == "stop"
    assert f"3 times, and retry.{cause}=2" in last.reason
    assert "passingloop rerun" in last.reason
    assert what(history(*ends), retry=replace(RETRY, **{cause: None})).action == action


def test_an_idle_run_is_told_what_was_seen_and_what_to_do() -> None:
    request = StopRequest(attempt=1, cause="idle", message="None of its 2 GPUs has computed anything for 120 min.")
    decision = what([queued(), start(1), request, end(1, "idle")])
    assert decision.reason.startswith("None of its 2 GPUs has computed anything for 120 min. Look in its log")
    assert "passingloop rerun" in decision.reason


def test_a_cause_may_be_left_to_the_person() -> None:
    decision = what(history(end(1, "preempted")), retry=replace(RETRY, preempted=0))
    assert decision.action == "stop"
    assert "It was preempted once, and retry.preempted=0" in decision.reason


def test_a_rerun_by_hand_has_a_fresh_budget_and_our_own_job_has_not() -> None:
    ends = [end(1, "crash", 10), end(2, "crash", 20), end(3, "crash", 30)]
    lines = history(*ends)
    assert what([*lines, decided(3, "stop"), queued(), start(4), end(4, "crash", 40)]).action == "again"
    assert what([*lines, decided(3, "resubmit"), queued(after=3), start(4), end(4, "crash", 40)]).action == "stop"


def test_a_time_limit_that_is_too_short_for_progress() -> None:
    decision = what([queued(), start(1, start_step=100), end(1, "timeout", 100)])
    assert decision.action == "stop"
    assert "nothing beyond step 100 was saved. Raise resources.time." in decision.reason


def test_a_time_limit_is_that_of_all_attempts_in_the_job() -> None:
    crashed = [queued(), start(1, start_step=50), end(1, "crash", 100), decided(1, "again")]
    late = [start(2, start_step=100), end(2, "timeout", 100)]
    decision = what([*crashed, *late])
    assert (decision.action, decision.reason) == ("requeue", "Its time limit came at step 100, 50 steps further on.")
    again = [decided(2, "requeue"), start(3, start_step=100), end(3, "timeout", 100)]
    assert what([*crashed, *late, *again]).action == "stop"


@pytest.mark.parametrize(
    ("first", "second", "action"),
    [
        (("loss is nan", 5), ("loss is nan", 5), "stop"),
        (("loss is nan", 5), ("loss is nan", 6), "again"),
        (("loss is nan", 5), ("disk full", 5), "again"),
        (("at 0x7f01 in process 12", 5), ("at 0x7f99 in process 345", 5), "stop"),
        (("killed by SIGSEGV", 5), ("killed by SIGSEGV", 5), "stop"),
        (("killed by SIGKILL", 5), ("killed by SIGKILL", 5), "again"),
    ],
)
def test_the_same_error_at_the_same_step(first: tuple[str, int], second: tuple[str, int], action: str) -> None:
    lines = history(end(1, "crash", first[1], first[0]), end(2, "crash", second[1], second[0]))
    decision = what(lines)
    assert decision.action == action
    assert second[0] in decision.reason


def test_the_same_error_with_a_preemption_between_is_not_twice_running() -> None:
    ends = [end(1, "crash", 5, "x"), end(2, "preempted", 3), end(3, "crash", 5, "x")]
    assert what(history(*ends)).action == "again"


# --- nodes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "failed", "pinned", "action", "exclude"),
    [
        (("n2",), ("n1",), (), "again", ["n1"]),
        (("n1",), ("n1",), (), "resubmit", ["n1"]),
        (("n1", "n2"), ("n2",), (), "resubmit", ["n2"]),
        (("n1",), ("n1",), ("n1",), "again", []),
        (("n1",), (), (), "again", []),
    ],
)
def test_it_goes_on_elsewhere(
    here: tuple[str, ...], failed: tuple[str, ...], pinned: tuple[str, ...], action: str, exclude: list[str]
) -> None:
    now = replace(JOB, nodes=here, failed=failed, pinned=pinned)
    decision = what(history(end(1, "node_fail")), now)
    assert (decision.action, decision.exclude) == (action, exclude)


def test_all_nodes_that_have_failed_are_avoided() -> None:
    lines = [queued(), start(1), end(1, "node_fail"), decided(1, "again", ("n1",)), start(2), end(2, "node_fail")]
    assert what(lines, replace(JOB, nodes=("n3",), failed=("n2",))).exclude == ["n1", "n2"]
    assert excluded_nodes(Ledger(tuple(lines))) == ["n1"]
    assert excluded_nodes(Ledger((*lines, queued()))) == []


# --- memory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("had", "most", "action", "mem"),
    [
        ("16G", None, "resubmit", "32G"),
        ("1000M", None, "resubmit", "2000M"),
        ("1000", None, "resubmit", "2000M"),
        ("16G", "24G", "resubmit", "24G"),
        ("16G", "16G", "stop", None),
        ("16G", "8G", "stop", None),
    ],
)
def test_host_memory_is_doubled(had: str, most: str | None, action: str, mem: str | None) -> None:
    lines = history(end(1, "oom", memory="host"))
    decision = what(lines, replace(JOB, mem=had), replace(RETRY, max_mem=most))
    assert (decision.action, decision.mem) == (action, mem)


# --- progress ------------------------------------------------------------------------------------------------


def test_without_progress_there_is_an_end_to_it_whatever_the_causes() -> None:
    lines: list[Event] = [queued()]
    for attempt in range(1, STALLED + 1):
        lines += [start(attempt, start_step=100), end(attempt, "preempted", 100), decided(attempt, "requeue")]
    assert what(lines[:-4]).action == "requeue"
    decision = what(lines[:-1])
    assert decision.action == "stop"
    assert f"{STALLED} attempts in a row have saved nothing beyond step 100" in decision.reason
    assert what(lines[:-1], replace(JOB, saved=101)).action == "requeue"


def test_a_time_limit_that_came_before_slurm_could_start_anything_is_not_too_short() -> None:
    late = [start(1), End(attempt=1, end_step=0, cause="timeout", message="Slurm was too slow.")]
    decision = decide(Ledger(tuple(late)), RETRY, Circumstances(submitted=True, saved=0, started=False))
    assert decision and (decision.action, decision.reason) == ("requeue", "Slurm was too slow.")
