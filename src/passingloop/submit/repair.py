"""Submissions that a command has left open because it died: each gets its job id, or is withdrawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from passingloop.errors import MissingError
from passingloop.rundir import ledger
from passingloop.rundir.submission import Home, Submission
from passingloop.slurm import queue
from passingloop.slurm.queue import Job


def repair(home: Home) -> None:
    """Close the submissions that are on their way; the caller holds the lock of `home`.

    Raises:
        MissingError: Slurm does not answer, so it cannot be known what it has got.
    """
    submissions = home.open_submissions()
    if submissions:
        jobs = queue.jobs({os.getuid()})
        for submission in submissions:
            job_id = _job_id(submission, jobs)
            if job_id:
                submission.accept(job_id)
            else:
                submission.withdraw()


def repair_if_possible(home: Home) -> None:
    """`repair` for commands that only read: not if another command is submitting, nor if Slurm does not answer."""
    if home.open_submissions():
        with suppress(BlockingIOError, MissingError), home.lock(wait=False):
            repair(home)


def _job_id(submission: Submission, jobs: Mapping[str, Job]) -> str | None:
    """The job that Slurm has for `submission`: known to it by the path of the script, or from a run that has begun."""
    intent = submission.read_intent()
    if intent is None:  # died before sbatch
        return None
    if intent.job_id:
        return intent.job_id
    of_script = (job.array_id for job in jobs.values() if f"/{submission.name}/" in job.script)
    jobs_of_runs = (job for run in intent.runs for job in ledger.read(run).jobs)
    begun = (job.job_id.partition("_")[0] for job in jobs_of_runs if job.submission == submission.name)
    return next(of_script, None) or next(begun, None)
