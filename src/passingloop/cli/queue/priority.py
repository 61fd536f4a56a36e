"""``passingloop priority``: put runs behind other jobs in the queue, or back.

`low` lowers the priority of their jobs (Slurm's nice value) so far that they come after all others of their QOS and
partition; `normal` undoes that. It stays with a job also when it is requeued, so it may be given while a run trains. A
job that is submitted later has normal priority.
"""

from __future__ import annotations

import argparse

from passingloop.cli.job_changes import active_states, job_ids, jobs_text
from passingloop.cli.selection import add_runs
from passingloop.slurm import control
from passingloop.slurm.command import run_command
from passingloop.slurm.polling.polled_queue import note_change
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser, json=False)
    parser.add_argument("level", choices=("low", "normal"), help="low: after all other jobs of the same QOS")


def main(arguments: argparse.Namespace) -> int:
    """Change the priority of the jobs of runs that wait or train; their directories on stdout. Returns 0.

    Raises:
        ConfigError: a word names no run, or a run belongs to someone else.
        SlurmSilent: Slurm does not answer; nothing has been changed.
    """
    states = [state for state in active_states(arguments) if state.launcher == "slurm" and state.job_id]
    if not states:
        say("None of these runs has a job in Slurm: there is no priority to change.")
        return 0
    control.set_nice(job_ids(states), _low_nice() if arguments.level == "low" else 0)
    note_change()
    say(f"{jobs_text(job_ids(states))}: the priority is {arguments.level} now.")
    if running := [state for state in states if state.kind == "running"]:
        say(f"{jobs_text(job_ids(running))}: it counts when a job is requeued, as it runs already.")
    for state in states:
        print(state.run.path)
    return 0


def _low_nice() -> int:
    return control.read_configuration(run_command(*control.CONFIGURATION_COMMAND)).low_nice
