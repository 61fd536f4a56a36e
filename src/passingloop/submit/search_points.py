"""The points of a search on Slurm: submitted by the command, and later by whichever job brings one to a rung.

There is no daemon. A job that has trained its run to a rung takes the lock of the user's submissions, decides what
follows from all values that are there, submits other runs, and trains its own on if that is among them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passingloop.config.build import Options
from passingloop.config.settings import RunConfig
from passingloop.errors import PassingloopError, SlurmSilent
from passingloop.rundir import ledger
from passingloop.rundir.choice import make_directory
from passingloop.rundir.code import FrozenCode
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home, Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.search.decision_round import Owed, decide, retry_failed
from passingloop.search.enrolment import add_points
from passingloop.search.findings import is_launched, seconds_to_rung
from passingloop.search.outcome import outcome_lines
from passingloop.search.sweep_ledger import COMMAND, SweepFile
from passingloop.slurm import control
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.slurm.notation import timestamp
from passingloop.submit.arrays import Submitter
from passingloop.submit.repair import repair
from passingloop.submit.request import request
from passingloop.submit.sbatch import WHEN
from passingloop.text import say

MARGIN = 1.25
"""A job trains its run on if its time limit leaves so many times as long as that is going to take."""

PATIENCE, PAUSE = 120.0, 3.0
"""Seconds for which a Slurm is asked again that does not answer, and between two questions."""


def submit_points(configs: Sequence[RunConfig], submitter: Submitter) -> dict[RunDir, RunConfig]:
    """Add the points `configs` to their search, and submit what is to be trained now. Returns the runs that have begun.

    The caller holds the lock of the user's submissions.

    Raises:
        ConfigError: so many may not be in the queue, or sbatch refused. The same command submits the rest.
        MissingError: Slurm does not answer.
    """
    file = add_points(configs, one_by_one=False)
    decide(file, COMMAND)
    retry_failed(file, COMMAND)
    owed = decide(file, COMMAND)
    if owed:
        _submit(owed, submitter)
    sweep = file.read()
    assert sweep, "it has points"
    for line in outcome_lines(sweep):
        say(line)
    return {file.run(name): entry.config for name, entry in sweep.entries.items() if entry.told}


def continue_search(task: TrainTask, submission: Submission, code: Path, job_id: str) -> bool:
    """Decide in a job what follows after its run has come to a rung or has ended, and submit it.

    Returns whether the run is to be trained on in this job. If it is not, the job counts as gone from here on. What
    cannot be submitted is said; the next one that decides tries again.

    Args:
        submission: the one that brought this job into the queue.
        code: the folder of its frozen code.
    """
    home, file, decider = submission.home, SweepFile.of_run(task.run), f"job {job_id}"
    try:
        with home.lock():
            decide(file, decider, task.run)
            goes_on = _trains_on(file, task.run, submission, job_id)
    except (PassingloopError, OSError) as error:
        say(f"error: What follows in the search could not be decided: {error}")
        return False
    frozen = FrozenCode(code, {}, lambda: task.code)
    _submit_owed(home, file, decider, frozen, task.run if goes_on else None)
    return goes_on


def _submit_owed(home: Home, file: SweepFile, decider: str, code: FrozenCode, without: RunDir | None) -> None:
    """Submit what has been decided and not carried out. A Slurm that does not answer is asked again for a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with home.lock():
                repair(home)
                if owed := decide(file, decider, without):
                    cluster = cluster_facts()
                    _submit(owed, Submitter(home=home, cluster=cluster, requests={}, size=lambda _: None, code=code))
            return
        except (PassingloopError, OSError) as error:
            if not isinstance(error, SlurmSilent) or time.monotonic() > deadline:
                say(f"error: What follows in the search could not be submitted: {error}")
                return
        time.sleep(PAUSE)  # without the lock


def _submit(owed: Sequence[Owed], submitter: Submitter) -> None:
    """Submit the runs, also of points that an earlier command has added."""
    runs = {make_directory(each.run, each.config): settings_to_rung(each) for each in owed}
    requests = {config: request(config, submitter.cluster) for config in runs.values()}
    replace(submitter, requests={**submitter.requests, **requests}).submit(runs)


def settings_to_rung(owed: Owed) -> RunConfig:
    """The settings of a job that trains a point to a rung. What the point had to wait for at first is over later."""
    cluster = owed.config.cluster
    extra = {key: value for key, value in cluster.extra.items() if not owed.rung or key.replace("_", "-") not in WHEN}
    return replace(owed.config, cluster=replace(cluster, extra=Options(extra)))


def _trains_on(file: SweepFile, run: RunDir, submission: Submission, job_id: str) -> bool:
    """Whether `run` is to be trained on in this job, that of `submission`. If no other job has taken it over either, it
    is written that this one ends at its rung."""
    past = ledger.read(run)
    if past.is_replaced(submission.name):
        return False
    sweep = file.read()
    entry = sweep.entries.get(run.path.name) if sweep else None
    if sweep is None or entry is None or entry.newest is None:
        return False
    if entry.point.is_open and is_launched(past.events, entry.newest):
        return False
    rung = entry.newest.rung
    if entry.point.is_open and _has_time(job_id, seconds_to_rung(past, sweep.search, rung)):
        return True
    if entry.point.is_open:
        say("Its job has too little time left to train it to the next rung, so it gets a new one.")
    file.write_left(run, rung - 1 if entry.point.is_open else rung)
    return False


def _has_time(job_id: str, seconds: float) -> bool:
    """Whether the job may run for so long; also where that is not known."""
    try:
        end = timestamp(control.job_fields(job_id).get("EndTime", "Unknown"))
    except PassingloopError:
        return True
    return end is None or end - time.time() > MARGIN * seconds
