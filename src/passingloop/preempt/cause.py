"""Why an attempt was asked to stop. Slurm is asked, as all causes arrive as the same signal."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Mapping

from passingloop.errors import PassingloopError, SlurmSilent
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cause
from passingloop.slurm import accounting, control
from passingloop.slurm.command import own_job_id
from passingloop.slurm.states import COMPLETING, End, job_end, job_phase

CAUSE_OF_REASON: Mapping[str, Cause] = {
    "None": "cancelled",
    "TimeLimit": "timeout",
    "DeadLine": "timeout",
    "NodeDown": "node_fail",
    "OutOfMemory": "oom",
    "JobLaunchFailure": "crash",
    "NonZeroExitCode": "crash",
    "RaisedSignal": "crash",
}
"""The cause, by the Reason of a job that is COMPLETING: squeue(1), JOB REASON CODES.

Measured on 22.05: it is None while a job ends that was cancelled. A batch script that was killed, or that failed, while
its steps ran gives JobLaunchFailure and NonZeroExitCode; later releases name the signal, as in RaisedSignal:9(Killed).
"""

CAUSE_OF_END: Mapping[End, Cause] = {
    "requeued": "requeued",
    "preempted": "preempted",
    "node failure": "node_fail",
    "time limit": "timeout",
    "out of memory": "oom",
    "cancelled": "cancelled",
    "failed": "crash",
}
"""The cause of an attempt's end, by how its job ended."""

BATCH_SCRIPT_ENDED = "The batch script of its job was killed, or failed, and Slurm ended the job with it."
"""What is told of an attempt that was asked to stop for the cause ``crash``."""

MAX_WARNING_SECONDS = 150.0
"""The most seconds before the time limit at which the warning comes: 90, and Slurm may send it up to 60 s early, see
sbatch(1), --signal. The job's present limit does not tell: it may be the partition's, or have been changed."""


PATIENCE = 15.0
"""Seconds for which a slurmctld that does not answer is asked again, by a job that nobody sits in front of. srun kills
the other processes of a step 30 s after the first has ended."""


ACCOUNTING_SECONDS = 5.0
"""Time limit for sacct, which few ends need, and which can do without."""


def stop_cause(run: RunDir, restarts: int, patience: float = 0.0) -> Cause:
    """The cause of the signal that this process has received; ``interrupted``, by a person, if none else is known.

    Args:
        restarts: how many times Slurm had requeued the job when the attempt began.
        patience: seconds for which a slurmctld that does not answer is asked again.
    """
    job_id = own_job_id(os.environ)
    past = ledger.read(run)
    if past.is_cancel_requested:
        return "cancelled"
    if request := past.stop_request:
        return request.cause
    if job_id is None:
        return "interrupted"
    deadline = time.monotonic() + patience
    while True:
        try:
            job = control.job_fields(job_id)
            cause = job_stop_cause(job, restarts=restarts, now=datetime.datetime.now())
            return "requeued" if cause == "preempted" and _was_by_hand(job_id, job) else cause
        except SlurmSilent:
            if time.monotonic() > deadline:
                return "interrupted"  # `passingloop status` asks again
            time.sleep(1.0)
        except PassingloopError:
            return "interrupted"


def _was_by_hand(job_id: str, job: Mapping[str, str]) -> bool:
    """Whether a person has requeued the job that was. Where accounting does not tell, it was preempted.

    Without a grace time scontrol shows the same of both. Measured on 22.05: slurmdbd has the state, PREEMPTED or
    REQUEUED, within a second.
    """
    if job.get("PreemptTime", "None") != "None":
        return False
    periods = accounting.run_periods(job_id, timeout=ACCOUNTING_SECONDS)
    return bool(periods) and job_end(periods[-1].state) == "requeued"


def job_stop_cause(job: Mapping[str, str], restarts: int, now: datetime.datetime) -> Cause:
    """The cause, from the fields of ``scontrol show job`` while the job's processes receive SIGTERM.

    It is `preempted` also if a person has requeued the job.

    Measured on 22.05: a job that is preempted with a grace time is RUNNING and has a PreemptTime; one that is requeued
    is COMPLETING with a higher Restarts; one that ends for another reason is COMPLETING with a Reason of
    `CAUSE_OF_REASON`; one that gets the warning before its time limit is RUNNING and close to its EndTime.

    Args:
        restarts: how many times it had been requeued when the attempt began.
        now: local time, as scontrol prints it.
    """
    state = job["JobState"]
    runs = job_phase(state) == "running" and state != COMPLETING
    if int(job.get("Restarts", "0")) > restarts or job.get("PreemptTime", "None") != "None":
        return "preempted"
    if state == COMPLETING:
        return CAUSE_OF_REASON.get(job.get("Reason", "None").partition(":")[0], "interrupted")
    if runs and _ends_soon(job, now):
        return "timeout"
    end = job_end(state)
    return CAUSE_OF_END[end] if end else "interrupted"


def _ends_soon(job: Mapping[str, str], now: datetime.datetime) -> bool:
    try:
        end = datetime.datetime.fromisoformat(job["EndTime"])
    except ValueError:  # Unknown
        return False
    return (end - now).total_seconds() < MAX_WARNING_SECONDS
