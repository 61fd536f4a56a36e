"""``passingloop cancel``: stop runs; those that train save first, and can be continued later.

Jobs that wait are taken from the queue, and those that train are told to stop. Runs that have paused at a rung of a
search do not go on. Runs that have ended are left alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Sequence

from passingloop.cli.job_changes import active_states, jobs_text, say_of_runs
from passingloop.cli.selection import add_runs
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Cancel
from passingloop.rundir.lock import local_processes, lock_holder
from passingloop.rundir.submission import Submission, submission_of, task_of_job
from passingloop.rundir.tasks import PackTask, PrepareTask
from passingloop.slurm import control, queue
from passingloop.slurm.states import job_phase
from passingloop.status.query import states_of
from passingloop.status.state import Kind, State
from passingloop.text import say

PAUSED: tuple[Kind, ...] = ("paused",)

STARTING = 30.0
"""Seconds after the beginning of an attempt in which its processes may not be there yet to be told anything: then Slurm
ends the job, and there is little to save."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser, json=False)
    parser.add_argument(
        "--now",
        action="store_true",
        help="have Slurm end the jobs: they get its KillWait (30 s, unless the site says otherwise) to save, no more",
    )


def main(arguments: argparse.Namespace) -> int:
    """Stop the runs that train or wait; their directories on stdout. Returns 1 if one is out of reach, else 0.

    Raises:
        ConfigError: a word names no run, or a run belongs to someone else.
        SlurmSilent: Slurm does not answer; nothing has been stopped or marked.
    """
    found = active_states(arguments, also=PAUSED)
    paused = [state for state in found if not state.is_active]
    states = [state for state in found if state.is_active]
    elsewhere = [state for state in states if state.launcher != "slurm" and not local_processes(state.run)]
    within_reach = [state for state in states if state not in elsewhere]
    for state in [*paused, *within_reach]:
        ledger.append(state.run, Cancel(), durable=len(within_reach) == 1)
    submitted = [state for state in within_reach if state.launcher == "slurm"]
    packed = _packed_with_others(submitted)
    _stop_jobs([state for state in submitted if state not in packed], now=arguments.now)
    for state in packed:
        _stop_member(state)
    for state in within_reach:
        if state.launcher != "slurm":
            _stop_here(state)
        print(state.run.path)
    for state in paused:
        print(state.run.path)
    say_of_runs(paused, "has paused, and does not go on.", "have paused, and do not go on.")
    for state in elsewhere:
        say(f"{state.run.path} trains out of reach, by {lock_holder(state.run)}. Stop it there.")
    if not found:
        say("None of these runs trains or waits: there is nothing to cancel.")
    return 1 if elsewhere else 0


def _stop_jobs(states: Sequence[State], *, now: bool) -> None:
    settled = [state for state in states if state.attempt_start and time.time() - state.attempt_start > STARTING]
    trains = [state.job_id for state in settled if state.job_id and not now]
    waits = [state.job_id for state in states if state.job_id and state.job_id not in trains]
    waits += _jobs_without_other_runs([state for state in states if state.attempt_start is None])
    if waits:
        control.cancel_jobs(waits)
        say(f"Cancelled {jobs_text(waits)}.")
    if trains:
        control.cancel_jobs(trains, signal="TERM")
        say(f"Told {jobs_text(trains)} to stop; what is trained is saved first.")


def _packed_with_others(cancelled: Sequence[State]) -> list[State]:
    """Those that share their job with active runs that are not cancelled."""
    others: dict[RunDir, set[RunDir]] = {}
    for state in cancelled:
        job = ledger.read(state.run).newest_job
        task = task_of_job(state.run, job) if job else None
        if isinstance(task, PackTask):
            others[state.run] = {member.run for member in task.members} - {state.run for state in cancelled}
    asked = set().union(*others.values())
    active = {state.run for state in states_of(list(asked)) if state.is_active}
    return [state for state in cancelled if others.get(state.run, set()) & active]


def _stop_member(state: State) -> None:
    """Stop one run of several in a job, which goes on with the others."""
    if state.attempt_start is None or state.job_id is None:
        say(f"{state.run.path} shares Slurm job {state.job_id} with other runs, and is left out of it.")
        return
    deadline = time.monotonic() + STARTING
    while not control.signal_steps(state.job_id, "TERM", state.run.path.name):
        if time.monotonic() > deadline:
            say(
                f"{state.run.path} has no step in Slurm job {state.job_id} to be told: it has ended, or starts no more."
            )
            return
        time.sleep(1.0)
    say(f"Told {state.run.path} in Slurm job {state.job_id} to stop; the other runs of the job go on.")


def _jobs_without_other_runs(cancelled: Sequence[State]) -> list[str]:
    """The jobs that prepare data for none but these runs, as far as they are not over."""
    preparing = {job: state.run for state in cancelled for job in ledger.read(state.run).data_jobs}
    if not preparing:
        return []
    served = {job: _runs_of_job(submission_of(run, job.submission)) for job, run in preparing.items()}
    others = set().union(*served.values()) - {state.run for state in cancelled}
    active = {state.run for state in states_of(list(others)) if state.is_active}
    jobs = queue.jobs({os.getuid()})
    left = [job.job_id for job, runs in served.items() if not runs & active]
    return [job_id for job_id in left if job_id in jobs and job_phase(jobs[job_id].state) != "ended"]


def _runs_of_job(submission: Submission) -> set[RunDir]:
    """The runs for which a job prepares data."""
    task = submission.read_task(0)
    assert isinstance(task, PrepareTask)
    return set(task.runs)


def _stop_here(state: State) -> None:
    for process in local_processes(state.run):
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:  # it has just ended
            continue
        say(f"Told process {process}, which trains {state.run.path}, to stop; what is trained is saved first.")
