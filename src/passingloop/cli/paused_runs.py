"""What becomes of runs that have paused at a rung of a sweep, for commands that show how runs stand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from passingloop.errors import OtherVersion
from passingloop.search.stalled_search import pause_words, stands_still
from passingloop.search.sweep_ledger import SweepFile, SweepLedger
from passingloop.status.query import shown_states
from passingloop.status.state import State


def with_pauses_explained(states: Sequence[State]) -> list[State]:
    """`states`; those of runs that have paused, and that no job may still train on, with a message about that."""
    folders = {state.run.path.parent for state in states if state.kind == "paused" and state.confirmed}
    sweeps = {folder: sweep for folder in folders if (sweep := _readable(folder))}
    still = {folder: stands_still(sweep, _states(folder, sweep, states)) for folder, sweep in sweeps.items()}
    return [_explained(state, sweeps, still) for state in states]


def _explained(state: State, sweeps: dict[Path, SweepLedger], still: dict[Path, bool]) -> State:
    folder, name = state.run.path.parent, state.run.path.name
    entry = sweeps[folder].entries.get(name) if folder in sweeps else None
    if entry is None or state.kind != "paused" or not state.confirmed:
        return state
    return replace(state, message=pause_words(sweeps[folder], entry, still=still[folder]))


def _states(folder: Path, sweep: SweepLedger, known: Sequence[State]) -> dict[str, State]:
    """Of the runs of a sweep that have begun; those that are not known are looked up."""
    found = {state.run.path.name: state for state in known if state.run.path.parent == folder}
    file = SweepFile(folder)
    others = [file.run(name) for name, entry in sweep.entries.items() if entry.told and name not in found]
    return found | {state.run.path.name: state for state in shown_states([run for run in others if run.path.exists()])}


def _readable(folder: Path) -> SweepLedger | None:
    with suppress(OtherVersion, OSError):
        return SweepFile(folder).read()
    return None
