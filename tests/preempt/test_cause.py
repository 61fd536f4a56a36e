"""Why an attempt was asked to stop, from what Slurm says at that moment."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from passingloop.preempt.cause import job_stop_cause, stop_cause
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel, Queued

NOW = datetime.datetime(2026, 11, 21, 8, 6, 5)
LATER, SOON = "2026-11-21T09:06:05", "2026-11-21T08:07:15"

# As scontrol of Slurm 22.05 printed it while the job's processes got SIGTERM.
SAID = {
    "preempted with grace": ("RUNNING", "None", 0, "2026-11-21T08:06:15", "2026-11-21T08:06:05", "preempted"),
    "requeued": ("COMPLETING", "None", 1, "Unknown", "None", "preempted"),
    "past its time limit": ("COMPLETING", "TimeLimit", 0, "2026-11-21T08:06:05", "None", "timeout"),
    "warned of its time limit": ("RUNNING", "None", 0, SOON, "None", "timeout"),
    "its batch script was killed": ("COMPLETING", "JobLaunchFailure", 0, "2026-11-21T08:06:05", "None", "crash"),
    "its batch script failed": ("COMPLETING", "NonZeroExitCode", 0, "2026-11-21T08:06:05", "None", "crash"),
    "killed, in later releases": ("COMPLETING", "RaisedSignal:9(Killed)", 0, "2026-11-21T08:06:05", "None", "crash"),
    "for a reason that nobody knows": ("COMPLETING", "SomethingNew", 0, "2026-11-21T08:06:05", "None", "interrupted"),
    "warned, with a limit that is not ours": ("RUNNING", "None", 0, "2026-11-21T08:08:20", "None", "timeout"),
    "cancelled": ("COMPLETING", "None", 0, "2026-11-21T08:06:05", "None", "cancelled"),
    "node gone": ("NODE_FAIL", "NodeDown", 0, "2026-11-21T08:06:05", "None", "node_fail"),
    "out of memory": ("OUT_OF_MEMORY", "None", 0, "2026-11-21T08:06:05", "None", "oom"),
    "a person's signal": ("RUNNING", "None", 0, LATER, "None", "interrupted"),
    "no time limit": ("RUNNING", "None", 0, "Unknown", "None", "interrupted"),
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_the_cause_is_what_slurm_says(said: tuple[str, str, int, str, str, str]) -> None:
    state, reason, restarts, end, preempted, expected = said
    job = {"JobState": state, "Reason": reason, "Restarts": str(restarts), "EndTime": end, "PreemptTime": preempted}
    assert job_stop_cause(job, restarts=0, now=NOW) == expected


def test_a_requeue_counts_from_when_the_attempt_began() -> None:
    job = {"JobState": "RUNNING", "Reason": "None", "Restarts": "2", "EndTime": LATER, "PreemptTime": "None"}
    assert job_stop_cause(job, restarts=2, now=NOW) == "interrupted"
    assert job_stop_cause(job, restarts=1, now=NOW) == "preempted"


def fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, **commands: str) -> None:
    """Scripts that say what Slurm's commands of 22.05 said of job 12, in a process of that job."""
    for name, said in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{said}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.delenv("SLURM_CONF", raising=False)


STAYS = {
    "by hand": "REQUEUED|2026-11-29T22:21:38|2026-11-29T22:21:43",
    "preempted": "PREEMPTED|2026-11-29T22:21:23|2026-11-29T22:21:28",
    "earlier by hand": "REQUEUED|2026-11-29T22:00:00|2026-11-29T22:10:00",
    "waits": "PENDING|Unknown|Unknown",
}
"""Lines of sacct."""


@pytest.mark.parametrize(
    ("preempt_time", "stays", "expected"),
    [
        ("None", ["by hand"], "requeued"),
        ("None", ["preempted", "waits"], "preempted"),
        ("None", ["earlier by hand", "preempted"], "preempted"),
        ("None", [], "preempted"),
        ("2026-11-29T22:21:23", ["earlier by hand"], "preempted"),
    ],
)
def test_a_person_who_requeues_is_told_from_a_job_that_preempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preempt_time: str, stays: list[str], expected: str
) -> None:
    said = f"JobId=12 JobState=COMPLETING Reason=None Restarts=1 PreemptTime={preempt_time}"
    fake_slurm(
        tmp_path, monkeypatch, scontrol=f"echo {said}", sacct="\n".join(f"echo '{STAYS[stay]}'" for stay in stays)
    )
    assert stop_cause(RunDir(tmp_path), restarts=0) == expected


def test_outside_slurm_a_person_stopped_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    run = RunDir(tmp_path)
    assert stop_cause(run, restarts=0) == "interrupted"
    ledger.append(run, Cancel())
    assert stop_cause(run, restarts=0) == "cancelled"
    ledger.append(run, Queued(submission="s", job_id="1"))
    assert stop_cause(run, restarts=0) == "interrupted"


@pytest.mark.parametrize(
    "silence",
    [
        'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1',
        "kill -TERM $$",
    ],
    ids=["restarted", "killed"],
)
def test_a_slurmctld_that_does_not_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: str
) -> None:
    """It has just been restarted: scontrol is a script that says what that of 22.05 says meanwhile. Or the second
    SIGTERM of a preemption has killed scontrol."""
    scontrol = f"""
        [ -e {tmp_path}/asked ] && echo "JobId=12 JobState=COMPLETING Reason=None Restarts=1" && exit
        touch {tmp_path}/asked
        {silence}
        """
    fake_slurm(tmp_path, monkeypatch, scontrol=scontrol, sacct="exit 1")
    run = RunDir(tmp_path)
    assert stop_cause(run, restarts=0) == "interrupted"
    (tmp_path / "asked").unlink()
    assert stop_cause(run, restarts=0, patience=60.0) == "preempted"
