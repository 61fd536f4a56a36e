"""What the verbs have in common that change something for runs: which runs they are about, and what they tell."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence

from passingloop.cli.selection import known_rests, selected_entries
from passingloop.errors import ConfigError, SlurmSilent
from passingloop.status.query import states_of
from passingloop.status.state import Kind, State
from passingloop.text import list_excerpt, say


def active_states(arguments: argparse.Namespace, also: Collection[Kind] = ()) -> list[State]:
    """The states of those of the selected runs that train or wait, or are of a kind in `also`, asked for afresh.

    Raises:
        ConfigError: a word names no run, or a run belongs to someone else.
        SlurmSilent: Slurm does not answer.
    """
    entries = [entry for entry in selected_entries(arguments) if also or not entry.is_final]
    states = states_of([entry.run for entry in entries], known_rests(entries))
    states = [state for state in states if state.is_active or state.kind in also]
    if not all(state.confirmed for state in states):
        raise SlurmSilent("Slurm does not answer, so nothing has been changed. Try again later.")
    for state in states:
        if not os.access(state.run.path, os.W_OK):
            raise ConfigError(f"{state.run.path} is someone else's run, which only they can change.")
    return states


def states_now(states: Sequence[State]) -> list[State]:
    """The states of the same runs, asked for afresh."""
    return states_of([state.run for state in states])


def job_ids(states: Sequence[State]) -> list[str]:
    return [state.job_id for state in states if state.job_id]


def jobs_text(ids: Sequence[str]) -> str:
    """The first of these jobs, as the end of a sentence. The runs of a pack have the same job; it is named once."""
    jobs = list(dict.fromkeys(ids))
    return f"Slurm job{'s' if len(jobs) > 1 else ''} {list_excerpt(jobs, 3)}"


def say_of_runs(states: Sequence[State], of_one: str, of_several: str) -> None:
    """A sentence about these runs; none if there are none."""
    names = [state.run.short_name for state in states]
    if names:
        say(f"{list_excerpt(names, 3)} {of_one if len(names) == 1 else of_several}")
