"""``passingloop release``: let runs that are held start again.

That is also for jobs that Slurm holds itself, after too many requeues or a failed start.
"""

from __future__ import annotations

import argparse
from functools import partial

from passingloop.cli.job_changes import active_states, job_ids, jobs_text, say_of_runs, states_now
from passingloop.cli.selection import add_runs
from passingloop.errors import SlurmRefused
from passingloop.slurm import control
from passingloop.slurm.polling.polled_queue import note_change
from passingloop.slurm.reasons import HELD
from passingloop.status.state import State
from passingloop.text import say

add_arguments = partial(add_runs, json=False)


def main(arguments: argparse.Namespace) -> int:
    """Release the jobs of held runs; the directories of those that are released on stdout.

    Returns 1 if one stays held, else 0.

    Raises:
        ConfigError: a word names no run, or a run belongs to someone else.
        SlurmSilent: Slurm does not answer; nothing has been released.
    """
    held = [state for state in active_states(arguments) if _is_held(state)]
    if not held:
        say("None of these runs is held: there is nothing to release.")
        return 0
    try:
        control.release_jobs(job_ids(held))
    except SlurmRefused as refusal:  # of some of them
        say(str(refusal))
    note_change()
    kept = [state for state in states_now(held) if _is_held(state)]
    released = [state for state in held if state.run not in {state.run for state in kept}]
    if released:
        say(f"Released {jobs_text(job_ids(released))}.")
    for state in released:
        print(state.run.path)
    say_of_runs(kept, *("is held still.", "are held still."))
    return 1 if kept else 0


def _is_held(state: State) -> bool:
    return state.kind == "pending" and state.reason in HELD
