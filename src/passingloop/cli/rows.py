"""A row per run, with all that is known of it: what ``status`` shows, and ``--json`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from passingloop.errors import OtherVersion
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from passingloop.status.state import State
from passingloop.track.metrics_file import newest_rows


def rows(states: Iterable[State]) -> list[dict[str, Any]]:
    """JSON objects with the same keys for every run; times in UTC as ISO 8601, null for what is not known."""
    return [_row(state) for state in states]


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def _row(state: State) -> dict[str, Any]:
    step, steps, metrics = _progress(state)
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
        "nodes": list(state.nodes),
        "gpus": state.gpus,
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


def _progress(state: State) -> tuple[int | None, int | None, dict[str, Any]]:
    """Steps done, steps in all, and the newest metrics but those of training.

    Of a run that is not done little is read, and of one that has not begun nothing.
    """
    if state.kind == "completed":
        result = state.run.read_result() or {}
        return result.get("steps"), result.get("steps"), result.get("metrics", {})
    if state.attempt is None:
        return None, None, {}
    last, validated = newest_rows(state.run.metrics)
    here = last["step"] if last and last["attempt"] == state.attempt else 0
    metrics = {f"{validated['split']}/{name}": value for name, value in _values(validated).items()} if validated else {}
    return max(here, state.step or 0), _steps(state.run), metrics


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("time", "attempt", "step", "split")}


def _steps(run: RunDir) -> int | None:
    """How many there will be: known beforehand only if they are set, rather than epochs."""
    steps: int | None = None
    with suppress(OtherVersion):  # one such run does not keep the others from being listed
        steps = record.read(run)["config"]["trainer"].get("steps")
    return steps
