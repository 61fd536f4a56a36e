"""When Slurm expected to start the jobs of earlier submissions, and when they started."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from passingloop.errors import OtherVersion
from passingloop.rundir import ledger
from passingloop.rundir.events import Start
from passingloop.rundir.submission import Home, Submission

SUBMISSIONS = 300
"""The newest submissions that are looked at."""


def start_errors(home: Home, cluster: str) -> list[float]:
    """For the user's jobs on `cluster`, newest first: seconds by which each started later than expected."""
    folders = sorted((home.path / "submissions").glob("*"), reverse=True)[:SUBMISSIONS]
    return [error for folder in folders for error in _errors(Submission(home, folder.name), cluster)]


def _errors(submission: Submission, cluster: str) -> Iterator[float]:
    try:
        intent = submission.read_intent()
    except (OtherVersion, OSError, ValueError):  # another version of the program is in use beside this one
        return
    request = intent.request if intent else None
    if intent is None or request is None or request.expected_start is None or request.cluster != cluster:
        return
    expected = datetime.fromisoformat(request.expected_start).timestamp()
    for run in intent.runs:
        starts = (start for start in ledger.read(run).events_of(Start) if start.submission == submission.name)
        yield from (start.timestamp - expected for start in islice(starts, 1))  # a later one is that of a requeued job
