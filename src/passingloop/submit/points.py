"""The points of a search on Slurm: submitted by the command, and later by whichever job brings one to a rung.

There is no daemon. A job that has trained its run to a rung takes the lock of the user's submissions, decides what
follows from all values that are there, submits other runs, and trains its own on if that is among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from passingloop.config.settings import RunConfig
from passingloop.errors import PassingloopError
from passingloop.rundir.choice import choose_run
from passingloop.rundir.code import FrozenCode
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import TrainTask
from passingloop.search.decision_round import Owed, decide, retry_failed
from passingloop.search.enrolment import add_points
from passingloop.search.outcome import outcome_lines
from passingloop.search.sweep_ledger import SweepFile
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.submit.arrays import Submitter
from passingloop.submit.repair import repair
from passingloop.submit.request import request
from passingloop.text import say

COMMAND = "a command"
"""Who decides, in the ledger of the search."""


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
        _with_requests(submitter, owed).submit({choose_run(each.config): each.config for each in owed})
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
    home, file = submission.home, SweepFile.of_run(task.run)
    try:
        with home.lock():
            repair(home)
            owed = decide(file, f"job {job_id}", task.run)
            goes_on = _goes_on_or_left(file, task.run)
            if owed:
                facts, frozen = cluster_facts(), FrozenCode(code, {}, lambda: task.code)
                submitter = Submitter(home=home, cluster=facts, requests={}, size=lambda _: None, code=frozen)
                _with_requests(submitter, owed).submit({choose_run(each.config): each.config for each in owed})
    except PassingloopError as error:
        say(f"error: What follows in the search could not be submitted: {error}")
        return False
    return goes_on


def _with_requests(submitter: Submitter, owed: Sequence[Owed]) -> Submitter:
    """With what the job of each run asks for, also of points that an earlier command has added."""
    requests = {each.config: request(each.config, submitter.cluster) for each in owed}
    return replace(submitter, requests={**submitter.requests, **requests})


def _goes_on_or_left(file: SweepFile, run: RunDir) -> bool:
    """Whether `run` is to be trained on. If it is not, it is written that its job ends at this rung."""
    sweep = file.read()
    entry = sweep.entries.get(run.path.name) if sweep else None
    if entry is None or entry.newest is None:
        return False
    if entry.has_arrived:
        file.write_left(run, entry.newest.rung)
    return entry.point.is_open
