"""A row per run, with all that is known of it: what ``status`` shows, and ``--json`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from passingloop.index.catalogue import Entry
from passingloop.index.entry_facts import UNREADABLE, Progress, read_progress, shown_progress
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from passingloop.status.state import State

LONG = 1000


def rows(states: Iterable[State], entries: Iterable[Entry] = ()) -> list[dict[str, Any]]:
    """JSON objects with the same keys for every run; times in UTC as ISO 8601, null for what is not known.

    Args:
        entries: what is known of these runs. The directories of those that are not at rest are read again.
    """
    known = {entry.run: entry.facts.progress for entry in entries if entry.facts.rest}
    return [_row(state, known.get(state.run) or _progress(state)) for state in states]


def as_json(content: Any) -> str:
    """JSON, indented; of a long list each member on a line, which is made five times as fast."""
    if isinstance(content, list) and len(content) > LONG:
        return "[\n" + ",\n".join(json.dumps(member, ensure_ascii=False) for member in content) + "\n]"
    return json.dumps(content, indent=2, ensure_ascii=False)


def _row(state: State, progress: Progress) -> dict[str, Any]:
    step, steps, metrics = shown_progress(state, progress)
    throughput = progress.throughput if state.kind == "completed" or state.attempt is not None else {}
    return {
        "run": str(state.run.path),
        "name": state.run.path.parent.name,
        "signature": state.run.path.name,
        "state": state.kind,
        "confirmed": state.confirmed,
        "launcher": state.launcher,
        "job_id": state.job_id,
        "attempt": state.attempt,
        "step": step,
        "steps": steps,
        "metrics": metrics,
        "throughput": throughput,
        "nodes": list(state.nodes),
        "gpus": state.gpus,
        "shards": state.shards,
        "since": iso_time(state.since),
        "expected_start": iso_time(state.expected_start),
        "reason": state.reason,
        "waits_for": state.waits_for,
        "waits_since": iso_time(state.waits_since),
        "cause": state.cause,
        "message": state.message,
        "action": state.action,
        "decided": state.decision_reason,
    }


def _progress(state: State) -> Progress:
    """What a run's directory says now. Of one that is done little is read, and of one that has not begun nothing."""
    finished = state.kind == "completed"
    if not finished and state.attempt is None:
        return Progress()
    return read_progress(state.run, finished=finished, steps=None if finished else _steps(state.run))


def _steps(run: RunDir) -> int | None:
    steps: int | None = None
    with suppress(*UNREADABLE):
        steps = record.read(run)["config"]["trainer"].get("steps")
    return steps
