"""What a command that died while submitting has left: found out, and brought to its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from passingloop.errors import MissingError
from passingloop.files import read_json
from passingloop.rundir import ledger
from passingloop.rundir.layout import RunDir
from passingloop.rundir.submission import Home, Submission
from passingloop.slurm import queue
from passingloop.slurm.queue import Job


def repair(home: Home) -> None:
    """Close the submissions that are on their way; the caller makes sure that nobody else is at them.

    Raises:
        MissingError: Slurm does not answer, so it cannot be known what it has got.
    """
    left = home.open()
    if left:
        jobs = queue.jobs({os.getuid()})
        for submission in left:
            job_id = _job_id(submission, jobs)
            if job_id:
                submission.accept(job_id)
            else:
                submission.give_up()


def repair_in_passing(home: Home) -> None:
    """`repair` for commands that only read: not if another command is at it, nor if Slurm does not answer."""
    if home.open():
        with home.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                repair(home)
            except (BlockingIOError, MissingError):
                return


def _job_id(submission: Submission, jobs: Mapping[str, Job]) -> str | None:
    """The job that Slurm has for `submission`: known to it by the path of the script, or from a run that has begun."""
    if not submission.record.exists():  # died before sbatch
        return None
    record = read_json(submission.record)
    if record["job_id"]:
        return str(record["job_id"])
    of_script = (job.array_id for job in jobs.values() if f"/{submission.name}/" in job.script)
    jobs_of_runs = (job for path in record["runs"] for job in ledger.read(RunDir(Path(path))).jobs)
    begun = (job.job_id.partition("_")[0] for job in jobs_of_runs if job.submission == submission.name)
    return next(of_script, None) or next(begun, None)
