"""Runs whose directories tell of attempts at given times, and jobs as accounting has them."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Action, Cause, Decision, End, Queued, Request, Seconds, Start
from passingloop.rundir.record import iso_time
from passingloop.slurm.job_records import JobRecord
from passingloop.usage.run_records import RunRecord, read_run
from tests.cli.made import CODE, Runs

NOON = 1_795_953_600.0
"""29 November 2026, 12:00 UTC. Times of tests are in seconds after it."""

USER = getpass.getuser()


@dataclass
class Told:
    """Writes what happened to runs."""

    runs: Runs

    def queued(self, run: RunDir, at: float, job_id: str, cluster: str = "dev", after: int | None = None) -> None:
        request = Request(nodes=1, gpus=1, cluster=cluster)
        ledger.append(run, Queued(submission="s", job_id=job_id, after=after, request=request, time=_time(at)))

    def start(self, run: RunDir, at: float, job_id: str | None, **fields: Any) -> None:
        usual = {
            "attempt": ledger.read(run).next_attempt, "launcher": "slurm" if job_id else "shell", "gpus": 1,
            "nodes": ["n1"], "processes": 1, "start_step": 0, "code": CODE, "submission": "s" if job_id else None,
        }  # fmt: skip
        ledger.append(run, Start(job_id=job_id, time=_time(at), **usual | fields))

    def end(
        self, run: RunDir, at: float, cause: Cause, message: str | None = None, end_step: int = 7, **seconds: float
    ) -> None:
        attempt = ledger.read(run).next_attempt - 1
        spent = Seconds(**seconds)
        ledger.append(
            run, End(attempt=attempt, end_step=end_step, cause=cause, message=message, seconds=spent, time=_time(at))
        )

    def decided(self, run: RunDir, at: float, action: Action) -> None:
        attempt = ledger.read(run).next_attempt - 1
        ledger.append(run, Decision(attempt=attempt, action=action, reason="It made way.", time=_time(at)))

    def read(self, run: RunDir, now: float = 10_000.0) -> RunRecord:
        record = read_run(run, 0.0, NOON + now)
        assert record
        return record


def _time(at: float) -> str:
    return iso_time(NOON + at)


def job(raw_id: str, started: float, ended: float | None, **fields: Any) -> JobRecord:
    """A record of accounting: a GPU in QOS normal."""
    usual: dict[str, Any] = {
        "raw_id": raw_id, "job_id": raw_id, "user": USER, "account": "team-a", "qos": "normal", "partition": "main",
        "nodes": ("n1",), "cpus": 4, "memory": 2**30, "gpus": 1.0, "shards": 0, "gpu_type": None, "cluster": "dev",
        "submitted": NOON + started - 100, "eligible": NOON + started - 60, "started": NOON + started,
        "ended": None if ended is None else NOON + ended, "time_limit": 3600.0, "state": "COMPLETED", "name": "train",
    }  # fmt: skip
    return JobRecord(**usual | fields)
