"""A trace from the accounting of a real Slurm: a preempted job, an array, and a job cancelled while it waited."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from passingloop.simulation.trace_jobs import TraceJob
from passingloop.simulation.traces.csv_trace import read_csv_trace
from tests.cluster.cluster import ROOT, until
from tests.cluster.login import Login
from tests.cluster.test_report import periods

READ = """
import sys; from passingloop.simulation.traces.trace_choice import read_trace
print(*read_trace(sys.argv[1], 4).notes, sep="\\n")
"""


@pytest.mark.slow
def test_jobs_of_the_accounting(login: Login, tmp_path: Path) -> None:
    begun = login.cluster.says("date", "+%Y-%m-%dT%H:%M:%S")
    team, one = "--account=team-b", "--nodelist=n1"
    # Slurm 24.11 would start it once more, and calls its end PREEMPTED.
    script = "[ $SLURM_RESTART_COUNT ] || exec sleep 300; scontrol update JobId=$SLURM_JOB_ID Requeue=0; sleep 2"
    preempted = login.cluster.submit(script, team, "--qos=scavenger", "--gpus-per-node=2", "--time=2", one)
    until(lambda: login.cluster.state(preempted) == "RUNNING")
    array = login.cluster.submit(
        "sleep 2; false", team, "--qos=production", "--gpus=1", "--array=0-2%2", "--nodelist=n2"
    )
    waiting = login.cluster.submit("true", team, "--qos=scavenger", "--gpus=1", one)
    until(lambda: "COMPLETING" in login.cluster.state(array) or "FAILED" in login.cluster.state(array))
    login.cluster.says("scancel", waiting)
    login.cluster.submit("sleep 2", team, "--qos=production", "--gpus-per-node=2", "--time=2", one)
    until(lambda: periods(login, preempted) in (["PREEMPTED", "COMPLETED"], ["PREEMPTED", "PREEMPTED"]))

    def trace_is_whole() -> bool:
        saved.unlink(missing_ok=True)
        words = f"sacct,since={begun},qos.production=main,save={saved}"
        program = ("env", f"PYTHONPATH={ROOT / 'src'}", sys.executable, "-c", READ, words)
        notes[:] = login.cluster.says(*program).splitlines()
        jobs[:] = [job for job in read_csv_trace(saved).jobs if job.account == "team-b"]
        return len(jobs) == 6

    saved, notes, jobs = tmp_path / "trace.csv", list[str](), list[TraceJob]()
    until(trace_is_whole)  # slurmctld tells slurmdbd of an end some moments later
    assert Counter((job.qos, job.state, job.gpus) for job in jobs) == {
        ("scavenger", "completed", 2): 1,
        ("scavenger", "cancelled", 1): 1,
        ("main", "failed", 1): 3,
        ("main", "completed", 2): 1,
    }
    by_qos = {(job.qos, job.state): job for job in jobs}
    assert by_qos["scavenger", "completed"].duration_s >= 3
    assert by_qos["scavenger", "cancelled"].duration_s == 0
    assert by_qos["main", "completed"].limit_s == 120
    assert by_qos["main", "failed"].duration_s >= 1
    assert any("were preempted or requeued" in note for note in notes)
