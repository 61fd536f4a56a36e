"""``passingloop hold``: keep runs that wait from starting, until they are released.

Runs that train go on; `passingloop cancel` stops them. A job that is submitted later, by `passingloop rerun` for
example, is not held.
"""

from __future__ import annotations

import argparse
from functools import partial

from passingloop.cli.job_changes import active_states, job_ids, jobs_text, say_of_runs, states_now
from passingloop.cli.selection import add_runs
from passingloop.slurm import control
from passingloop.slurm.polling.polled_queue import note_change
from passingloop.slurm.reasons import HELD
from passingloop.text import say

add_arguments = partial(add_runs, json=False)


def main(arguments: argparse.Namespace) -> int:
    """Hold the jobs of the runs that wait; the directories of those that are held on stdout.

    Returns 1 if one that waits is not held, else 0.

    Raises:
        ConfigError: a word names no run, or a run belongs to someone else.
        SlurmSilent: Slurm does not answer; nothing has been held.
    """
    states = active_states(arguments)
    waiting = [state for state in states if state.kind == "pending"]
    if waiting:
        control.hold_jobs(job_ids(waiting))
        note_change()
    now = states_now(states) if waiting else states
    held = [state for state in now if state.kind == "pending" and state.reason in HELD]
    running = [state for state in now if state.kind == "running"]
    # Some may just have started. Held, they would not start again after a requeue.
    if started := {state.run for state in waiting} & {state.run for state in running}:
        control.release_jobs(job_ids([state for state in running if state.run in started]))
    if held:
        say(f"Held {jobs_text(job_ids(held))}. passingloop release lets go.")
    for state in held:
        print(state.run.path)
    say_of_runs(running, *("is running, so it is not held.", "are running, so they are not held."))
    free = [state for state in now if state.kind == "pending" and state not in held]
    say_of_runs(free, *("is not held, Slurm says.", "are not held, Slurm says."))
    if not states:
        say("None of these runs waits: there is nothing to hold.")
    return 1 if free else 0
