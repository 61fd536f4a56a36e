"""``passingloop wait``: until runs are done; says on stderr what changes.

Exit code 0 only if all are completed, or have paused as they were to. Ctrl-C ends the waiting, and leaves the runs
alone.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence

from passingloop.cli.rows import as_json, rows
from passingloop.cli.selection import add_runs, known_rests, selected_entries
from passingloop.index.catalogue import Entry
from passingloop.report.run_table import counts
from passingloop.rundir.directory import RunDir
from passingloop.status.query import MAX_PAUSE, MIN_PAUSE, shown_states, states_of
from passingloop.status.state import State
from passingloop.text import say

MAX_SENTENCES = 10
"""Changes that are printed one by one; for more at once, the number of runs in each state."""

add_arguments = add_runs


def main(arguments: argparse.Namespace) -> int:
    """Return 0 once all runs are completed or paused, 1 once none of them goes on and not all are.

    Raises:
        ConfigError: a word names no run.
    """
    states: list[State] = []
    while len(entries := selected_entries(arguments)) > len(states):  # a search may have begun others meanwhile
        states = _wait_until_over(entries)
    if arguments.json:
        print(as_json(rows(states)))
    return 0 if all(state.kind in ("completed", "paused") for state in states) else 1


def _wait_until_over(entries: Sequence[Entry]) -> list[State]:
    """The states of the runs once none of them goes on."""
    runs = [entry.run for entry in entries]
    rests = known_rests(entries)
    completed = {run: rest for run, rest in rests.items() if rest.state.kind == "completed"}  # others may begin again
    known: Mapping[RunDir, State] = {}
    pause = MIN_PAUSE
    while True:
        states = shown_states(runs, patience=math.inf, rests=completed)
        if not any(state.is_active for state in states):  # what may be shown is not enough for the exit code
            states = states_of(runs, completed)
            if any(state.kind == "paused" for state in states):  # by a job that has ended since its ledger was read
                states = states_of(runs, completed)
        changes = [state for state in states if _has_changed(state, known.get(state.run))]
        for line in map(_sentence, changes) if len(changes) <= MAX_SENTENCES else counts(rows(states)):
            say(line)
        if not any(state.is_active for state in states):
            return states
        time.sleep(pause)
        pause = min(MAX_PAUSE, 1.3 * pause)
        known = {state.run: state for state in states}


def _has_changed(state: State, known: State | None) -> bool:
    shown = (state.kind, state.confirmed, state.waits_for)
    return known is None or shown != (known.kind, known.confirmed, known.waits_for)


def _sentence(state: State) -> str:
    doubt = "" if state.confirmed else ", not confirmed by Slurm"
    message = state.waits_for or state.message
    why = f": {message}" if message and state.confirmed else ""
    return f"{state.run.short_name} is {state.kind}{doubt}{why}"
