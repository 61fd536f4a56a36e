"""The decision itself: the ledger's lines and the circumstances in, a line for the ledger out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from passingloop.attempts.series import Ended, Line, avoided, ended, since_a_person
from passingloop.config.running import RetryConfig
from passingloop.rundir.ledger import Action, Decision
from passingloop.slurm.notation import doubled, is_more

BY_A_PERSON = ("completed", "cancelled", "interrupted")
"""Causes after which there is nothing to decide."""

STALLED = 20
"""Attempts in a row, whatever ended them, after which a run that has saved nothing new is given back to the person. A
preempted run has no other limit."""

ON = "`passingloop rerun`, or the same command, continues it"


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
    pinned: Sequence[str] = ()
    """Nodes that the settings ask for by name: they cannot be avoided."""
    mem: str | None = None
    """Host memory per node that the job has, where that is known."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules look at."""

    lines: Sequence[Line]
    """Since a person started the run."""
    attempts: Sequence[Ended]
    retry: RetryConfig
    now: Circumstances

    @property
    def last(self) -> Ended:
        return self.attempts[-1]

    def count(self, cause: str, memory: str | None = None) -> int:
        """How many of the attempts ended so."""
        ends = (one.end for one in self.attempts)
        return sum(end["cause"] == cause and (memory is None or end.get("memory") == memory) for end in ends)

    def decision(self, action: Action, reason: str, exclude: Sequence[str] = (), mem: str | None = None) -> Decision:
        attempt = self.last.end["attempt"]
        return Decision(attempt=attempt, action=action, reason=reason, exclude=list(exclude), mem=mem)

    def stop(self, reason: str) -> Decision:
        return self.decision("stop", reason)


def decide(lines: Sequence[Line], retry: RetryConfig, now: Circumstances) -> Decision | None:
    """What follows from the newest end among `lines`; None where that is up to the person who is there or was.

    Args:
        lines: the whole ledger.
        retry: how often what is allowed.
    """
    ours = since_a_person(lines)
    case = _Case(ours, ended(ours), retry, now)
    if not case.attempts or case.last.end["cause"] in BY_A_PERSON:
        return None
    if not now.submitted:
        return _in_a_shell(case)
    return _over_budget(case) or _stalled(case) or RULES[case.last.end["cause"]](case)


def _in_a_shell(case: _Case) -> Decision | None:
    """Only what needs no thought is repeated; for all else there is a person."""
    if case.last.end["cause"] != "oom" or case.last.end.get("memory") != "device":
        return None
    return _over_budget(case) or _out_of_memory(case)


def _over_budget(case: _Case) -> Decision | None:
    end = case.last.end
    allowed, spent = getattr(case.retry, end["cause"]), case.count(end["cause"])
    if allowed is None or spent <= allowed:
        return None
    how_often = "once" if spent == 1 else f"{spent} times"
    return case.stop(f"{WHAT[end['cause']]} {how_often}, and retry.{end['cause']}={allowed}{_told(end)}. {ON}.")


def _stalled(case: _Case) -> Decision | None:
    row = case.attempts[-STALLED:]
    if len(row) < STALLED or any(one.start["start_step"] < case.now.saved for one in row):
        return None
    return case.stop(
        f"{STALLED} attempts in a row have saved nothing beyond step {case.now.saved}, the last because it "
        f"{DID[case.last.end['cause']]}. Lower checkpoint.every_minutes, or use a QOS that is preempted less. {ON}."
    )


def _preempted(case: _Case) -> Decision:
    return case.decision("requeue", f"It made way for another job at step {case.last.end['end_step']}.")


def _timeout(case: _Case) -> Decision:
    start, reached = case.last.start["start_step"], case.last.end["end_step"]
    if case.now.saved > start:
        return case.decision("requeue", f"Its time limit came at step {reached}, {reached - start} steps further on.")
    return case.stop(
        f"Its time limit is too short for any progress: nothing beyond step {start} was saved. Raise resources.time."
    )


def _node_fail(case: _Case) -> Decision:
    """On other nodes: where we are, if that is on others; else in a new job, which says which ones it does not want."""
    failed = [node for node in case.now.failed if node not in case.now.pinned]
    avoid = list(dict.fromkeys([*avoided(case.lines), *failed]))
    named = f"Node {', '.join(case.now.failed)}" if case.now.failed else "A node"
    reason = f"{named} failed at step {case.last.end['end_step']}."
    return case.decision("resubmit" if set(avoid) & set(case.now.nodes) else "again", reason, avoid)


def _crash(case: _Case) -> Decision:
    end = case.last.end
    what = (end.get("message") or "It ended without a word").rstrip(".")
    if len(case.attempts) > 1 and _same(case.attempts[-2].end, end):
        return case.stop(f"The same error came twice at step {end['end_step']}: {what}.")
    count = case.count("crash")
    of = f" of {case.retry.crash}" if case.retry.crash is not None else ""
    return case.decision("again", f"Failure {count}{of} came at step {end['end_step']}: {what}.")


def _out_of_memory(case: _Case) -> Decision:
    end = case.last.end
    if end.get("memory") == "device":
        return case.decision(
            "again", f"The GPU's memory ran out at step {end['end_step']}; the next attempt halves the micro-batch."
        )
    if end.get("memory") is None:
        return case.stop(f"Memory ran out at step {end['end_step']}{_told(end)}. Less of a micro-batch would not help.")
    return _more_memory(case)


def _more_memory(case: _Case) -> Decision:
    had, most = case.now.mem, case.retry.max_mem
    if had is None:
        return case.stop("The node's memory ran out, and how much the job had is not known. Set resources.mem.")
    mem = doubled(had, most)
    if not is_more(mem, had):
        return case.stop(f"The job's memory of {had} ran out, and retry.max_mem={most} allows no more. Raise it.")
    return case.decision("resubmit", f"The job's memory of {had} ran out; the next one asks for {mem}.", mem=mem)


def _same(one: Line, other: Line) -> bool:
    """Whether two attempts ended of the same error. A kill comes from outside, and says nothing about the run.

    Numbers are left aside: addresses and process ids differ from one time to the next.
    """
    if "SIGKILL" in (other.get("message") or ""):
        return False
    plain = [re.sub(r"0x[0-9a-f]+|\d+", "#", line.get("message") or "") for line in (one, other)]
    return one["cause"] == other["cause"] and one["end_step"] == other["end_step"] and plain[0] == plain[1]


def _told(end: Line) -> str:
    return f" ({end['message'].rstrip('.')})" if end.get("message") else ""


RULES: Mapping[str, Callable[[_Case], Decision]] = {
    "preempted": _preempted,
    "timeout": _timeout,
    "node_fail": _node_fail,
    "crash": _crash,
    "oom": _out_of_memory,
}

WHAT = {
    "preempted": "It was preempted",
    "timeout": "It reached its time limit",
    "node_fail": "A node failed under it",
    "crash": "It failed",
    "oom": "It ran out of memory",
}

DID = {
    "preempted": "made way for another job",
    "timeout": "reached its time limit",
    "node_fail": "lost a node",
    "crash": "failed",
    "oom": "ran out of memory",
}
