"""Nodes, jobs and runs for tests, with what a test does not care about filled in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.live.run_row import Progress, RunRow
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause, End, Start
from passingloop.slurm.waiting.queue_table import QueuedJob
from passingloop.slurm.waiting.supply import NodeState
from passingloop.status.state import State

NOW = 1_793_695_200.0


@dataclass
class Made:
    """Makes run directories as a launcher leaves them, with a record of what is read of it only."""

    root: Path

    def new(self, name: str = "sweep", signature: str = "3fa94c21be", **trainer: Any) -> RunDir:
        run = RunDir(self.root / name / signature)
        run.logs.mkdir(parents=True)
        record = {"schema": 1, "config": {"trainer": {"steps": None, "epochs": None} | trainer}}
        run.record.write_text(json.dumps(record))
        return run

    def started(self, run: RunDir, **fields: Any) -> RunDir:
        usual = {"launcher": "shell", "job_id": None, "nodes": ["here"], "processes": 1, "start_step": 0, "code": {}}
        ledger.append(run, Start(attempt=1, **(usual | fields)), durable=False)
        run.log(1, 0).write_text("this is attempt 1\n")
        return run

    def ended(self, run: RunDir, cause: Cause = "completed", **fields: Any) -> RunDir:
        ledger.append(run, End(attempt=1, end_step=40, cause=cause, **fields), durable=False)
        if cause == "completed":
            run.result.write_text(json.dumps({"steps": 40, "metrics": {"test/accuracy": 0.91239}}))
        return run

    def completed(self, signature: str) -> RunDir:
        return self.ended(self.started(self.new(signature=signature)))


def node(name: str = "n1", state: str = "IDLE", gpus: int = 8, held: int = 0, **fields: Any) -> NodeState:
    return NodeState(name=name, state=state, gpus=gpus, gpus_held=held, **fields)


def job(number: int, state: str = "RUNNING", qos: str = "production", gpus: int = 1, **fields: Any) -> QueuedJob:
    usual = {
        "job_id": str(number),
        "array_id": str(number),
        "uid": 7,
        "user": "ann",
        "account": "team-a",
        "partitions": ("main",),
        "reason": "None",
        "priority": 1,
        "tres": {"gres/gpu": float(gpus), "cpu": 4.0},
    }
    return QueuedJob(number=str(number), state=state, qos=qos, **(usual | fields))


def run_row(kind: Any = "running", name: str = "sweep/3fa94c21be", **fields: Any) -> RunRow:
    """A run; `fields` of its state, and `progress`, `place`, `limit_ends`."""
    own = {key: fields.pop(key) for key in ("progress", "place", "limit_ends") if key in fields}
    if kind == "running":
        fields = {"attempt": 1, "attempt_start": NOW - 600, "nodes": ("n1",), "gpus": 2, "since": NOW - 600} | fields
    return RunRow(state=State(run=RunDir(Path("/runs") / name), kind=kind, **fields), **own)


def half_way(**changes: Any) -> Progress:
    usual = {"step": 500, "steps": 1000, "saved_step": 400, "pace": 5.0, "newest": NOW, "loss": 0.25}
    return Progress(**(usual | changes))
