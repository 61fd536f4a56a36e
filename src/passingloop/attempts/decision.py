"""What is decided once an attempt has ended: the ledger and the circumstances in, a `Decision` out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from passingloop.config.running import RetryConfig
from passingloop.rundir.events import Action, Cause, Decision, End, Start
from passingloop.rundir.ledger import Ledger
from passingloop.slurm.notation import doubled_memory, is_more_memory

BY_A_PERSON = ("completed", "paused", "cancelled", "interrupted")
"""Causes after which there is nothing to decide."""

WITHOUT_BUDGET = ("idle", "requeued")
"""Causes that no setting of `retry` limits: after the first the run is never taken up again by itself, the second is
what a person has asked for."""

STALLED = 20
"""Attempts in a row, whatever ended them, after which a run that has saved nothing new is stopped. A preempted run has
no other limit."""

ADVICE = "`passingloop rerun`, or the same command, continues it"

IDLE_ADVICE = (
    "Look in its log for what it waits for: data, a server, a process that has stopped. Or ask for fewer GPUs with "
    "resources.gpus, or set watch.idle_end=false if nothing but you has asked for the end."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What is known besides the ledger once an attempt has ended."""

    submitted: bool
    """Whether we are in a job that was submitted; else a person sits in front of a shell."""
    saved: int
    """The newest checkpoint's step."""
    nodes: Sequence[str] = ()
    """Those of the allocation that we are in."""
    failed: Sequence[str] = ()
    """Nodes of the attempt that are known to have failed."""
    started: bool = True
    """Whether processes of the attempt could be started."""
    pinned: Sequence[str] = ()
    """Nodes that the settings ask for by name: they cannot be excluded."""
    mem: str | None = None
    """Host memory per node that the job has, where that is known."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    start_step: int
    end: End


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules decide about."""

    ledger: Ledger
    attempts: Sequence[_Attempt]
    """Those that have ended since a person started the run."""
    retry: RetryConfig
    now: Circumstances

    @property
    def end(self) -> End:
        """The newest, about which is decided."""
        return self.attempts[-1].end

    def count(self, cause: Cause) -> int:
        """How many of the attempts ended so."""
        return sum(attempt.end.cause == cause for attempt in self.attempts)

    def decision(self, action: Action, reason: str, exclude: Sequence[str] = (), mem: str | None = None) -> Decision:
        return Decision(attempt=self.end.attempt, action=action, reason=reason, exclude=list(exclude), mem=mem)

    def stop(self, reason: str) -> Decision:
        return self.decision("stop", reason)


def decide(ledger: Ledger, retry: RetryConfig, now: Circumstances) -> Decision | None:
    """The decision after the newest end; None where a person decides: in a shell, or after a cancel or Ctrl-C.

    Args:
        ledger: all of it.
        retry: how often what is allowed.
    """
    case = _Case(ledger, _attempts(ledger.since_user_action), retry, now)
    if not case.attempts or case.end.cause in BY_A_PERSON:
        return None
    if not now.submitted:
        return _shell_decision(case)
    return _over_budget(case) or _stalled(case) or RULES[case.end.cause](case)


def excluded_nodes(ledger: Ledger) -> list[str]:
    """The nodes that have failed since a person started the run, in the order in which they did."""
    decisions = ledger.since_user_action.events_of(Decision)
    return list(dict.fromkeys(node for decision in decisions for node in decision.exclude))


def _attempts(ledger: Ledger) -> list[_Attempt]:
    """Those that have ended, oldest first."""
    steps = {start.attempt: start.start_step for start in ledger.events_of(Start)}
    return [_Attempt(steps[end.attempt], end) for end in ledger.events_of(End) if end.attempt in steps]


def _shell_decision(case: _Case) -> Decision | None:
    """Another attempt if the GPU's memory ran out; after any other end the person in the shell decides."""
    if case.end.cause != "oom" or case.end.memory != "device":
        return None
    return _over_budget(case) or _out_of_memory(case)


def _over_budget(case: _Case) -> Decision | None:
    cause = case.end.cause
    if cause in WITHOUT_BUDGET:
        return None
    allowed, spent = getattr(case.retry, cause), case.count(cause)
    if allowed is None or spent <= allowed:
        return None
    how_often = "once" if spent == 1 else f"{spent} times"
    return case.stop(f"{SENTENCES[cause]} {how_often}, and retry.{cause}={allowed}{_message(case.end)}. {ADVICE}.")


def _stalled(case: _Case) -> Decision | None:
    row = case.attempts[-STALLED:]
    if len(row) < STALLED or any(attempt.start_step < case.now.saved for attempt in row):
        return None
    return case.stop(
        f"{STALLED} attempts in a row have saved nothing beyond step {case.now.saved}, the last because it "
        f"{VERBS[case.end.cause]}. Lower checkpoint.every_minutes, or use a QOS that is preempted less. {ADVICE}."
    )


def _preempted(case: _Case) -> Decision:
    return case.decision("requeue", f"It made way for another job at step {case.end.end_step}.")


def _requeued(case: _Case) -> Decision:
    return case.decision("requeue", f"Its job was put back into the queue at step {case.end.end_step}, by hand.")


def _timeout(case: _Case) -> Decision:
    start, reached = _job_start_step(case), case.end.end_step
    if not case.now.started:  # the limit was not too short, Slurm was too slow
        return case.decision("requeue", str(case.end.message))
    if case.now.saved > start:
        return case.decision("requeue", f"Its time limit came at step {reached}, {reached - start} steps further on.")
    return case.stop(
        f"Its time limit is too short for any progress: nothing beyond step {start} was saved. Raise resources.time."
    )


def _job_start_step(case: _Case) -> int:
    """The step at which the job's first attempt started: a later one may have had little of the time that was left."""
    again = {decision.attempt for decision in case.ledger.events_of(Decision) if decision.action == "again"}
    first = len(case.attempts) - 1
    while first > 0 and case.attempts[first - 1].end.attempt in again:
        first -= 1
    return case.attempts[first].start_step


def _node_fail(case: _Case) -> Decision:
    """On other nodes: in this job if it has none that failed, else in a new job that excludes those."""
    failed = [node for node in case.now.failed if node not in case.now.pinned]
    avoid = list(dict.fromkeys([*excluded_nodes(case.ledger), *failed]))
    named = f"Node {', '.join(case.now.failed)}" if case.now.failed else "A node"
    reason = f"{named} failed at step {case.end.end_step}."
    return case.decision("resubmit" if set(avoid) & set(case.now.nodes) else "again", reason, avoid)


def _crash(case: _Case) -> Decision:
    end = case.end
    what = (end.message or "It ended without giving a cause").rstrip(".")
    if len(case.attempts) > 1 and _is_same_error(case.attempts[-2].end, end):
        return case.stop(f"The same error came twice at step {end.end_step}: {what}.")
    count = case.count("crash")
    of = f" of {case.retry.crash}" if case.retry.crash is not None else ""
    return case.decision("again", f"Failure {count}{of} came at step {end.end_step}: {what}.")


def _out_of_memory(case: _Case) -> Decision:
    end = case.end
    if end.memory == "device":
        return case.decision(
            "again", f"The GPU's memory ran out at step {end.end_step}; the next attempt halves the micro-batch."
        )
    if end.memory is None:
        return case.stop(f"Memory ran out at step {end.end_step}{_message(end)}. Less of a micro-batch would not help.")
    return _more_memory(case)


def _more_memory(case: _Case) -> Decision:
    had, most = case.now.mem, case.retry.max_mem
    if had is None:
        return case.stop("The node's memory ran out, and how much the job had is not known. Set resources.mem.")
    mem = doubled_memory(had, most)
    if not is_more_memory(mem, had):
        return case.stop(f"The job's memory of {had} ran out, and retry.max_mem={most} allows no more. Raise it.")
    return case.decision("resubmit", f"The job's memory of {had} ran out; the next one asks for {mem}.", mem=mem)


def _hung(case: _Case) -> Decision:
    """Back into the queue: Slurm then ends every process of the job, also one that nothing else ends."""
    end, count = case.end, case.count("hung")
    of = f" of {case.retry.hung}" if case.retry.hung is not None else ""
    what = (end.message or "It made no progress").rstrip(".")
    return case.decision("requeue", f"It hung at step {end.end_step}, time {count}{of}: {what}.")


def _idle(case: _Case) -> Decision:
    request = case.ledger.stop_request
    why = request.message if request else "Its GPUs were idle."
    return case.stop(f"{why} {IDLE_ADVICE} {ADVICE}.")


def _is_same_error(before: End, now: End) -> bool:
    """Whether two attempts ended of the same error. SIGKILL comes from outside, and is no error of the run.

    Numbers are not compared: addresses and process ids differ from one time to the next.
    """
    if "SIGKILL" in (now.message or ""):
        return False
    then_said, now_says = (re.sub(r"0x[0-9a-f]+|\d+", "#", end.message or "") for end in (before, now))
    return (before.cause, before.end_step, then_said) == (now.cause, now.end_step, now_says)


def _message(end: End) -> str:
    return f" ({end.message.rstrip('.')})" if end.message else ""


RULES: Mapping[str, Callable[[_Case], Decision]] = {
    "preempted": _preempted,
    "requeued": _requeued,
    "timeout": _timeout,
    "node_fail": _node_fail,
    "crash": _crash,
    "oom": _out_of_memory,
    "hung": _hung,
    "idle": _idle,
}

SENTENCES = {
    "preempted": "It was preempted",
    "timeout": "It reached its time limit",
    "node_fail": "A node failed under it",
    "crash": "It failed",
    "oom": "It ran out of memory",
    "hung": "It hung",
}

VERBS = {
    "preempted": "made way for another job",
    "requeued": "was put back into the queue",
    "timeout": "reached its time limit",
    "node_fail": "lost a node",
    "crash": "failed",
    "oom": "ran out of memory",
    "hung": "hung",
    "idle": "left its GPUs idle",
}
