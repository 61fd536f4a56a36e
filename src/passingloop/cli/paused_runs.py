"""What becomes of runs that have paused at a rung of a sweep, for commands that show how runs stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from passingloop.search.stalled_search import is_over, pause_words, stands_still
from passingloop.search.sweep_ledger import SweepFile, SweepLedger
from passingloop.status.query import shown_states
from passingloop.status.state import State
from passingloop.usage.run_records import UNREADABLE


def with_pauses_explained(states: Sequence[State]) -> list[State]:
    """`states`; those of runs that have paused, and that no job may still train on, with a message about that."""
    folders = {state.run.path.parent for state in states if state.kind == "paused" and state.confirmed}
    sweeps = {folder: sweep for folder in folders if (sweep := _readable(folder))}
    found = _states({folder: sweep for folder, sweep in sweeps.items() if not is_over(sweep)}, states)
    still = {folder: stands_still(sweep, found.get(folder, {})) for folder, sweep in sweeps.items()}
    return [_explained(state, sweeps, still) for state in states]


def _explained(state: State, sweeps: dict[Path, SweepLedger], still: dict[Path, bool]) -> State:
    folder, name = state.run.path.parent, state.run.path.name
    entry = sweeps[folder].entries.get(name) if folder in sweeps else None
    if entry is None or state.kind != "paused" or not state.confirmed:
        return state
    return replace(state, message=pause_words(sweeps[folder], entry, still=still[folder]))


def _states(sweeps: Mapping[Path, SweepLedger], known: Sequence[State]) -> dict[Path, dict[str, State]]:
    """Of the runs of sweeps that have begun, by folder and name; those that are not known are looked up."""
    begun = [SweepFile(folder).run(name) for folder, sweep in sweeps.items() for name in _begun(sweep)]
    here = {state.run for state in known}
    others = shown_states([run for run in begun if run not in here and run.path.exists()])
    found: dict[Path, dict[str, State]] = defaultdict(dict)
    for state in (*known, *others):
        found[state.run.path.parent][state.run.path.name] = state
    return found


def _begun(sweep: SweepLedger) -> Iterator[str]:
    return (name for name, entry in sweep.entries.items() if entry.told)


def _readable(folder: Path) -> SweepLedger | None:
    with suppress(*UNREADABLE):
        return SweepFile(folder).read()
    return None
