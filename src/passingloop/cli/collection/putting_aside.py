"""What ``archive`` and ``delete`` have in common: which runs may go, what that frees, and the question before."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.cli.selection import Selection, add_root, known_rests, own
from passingloop.errors import ConfigError, MissingError, RunError
from passingloop.index import expression
from passingloop.index.catalogue import Entry
from passingloop.index.keys import Keys, Listed
from passingloop.pending.wording import count_text
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.lock import is_locked, lock_holder
from passingloop.rundir.submission import Home
from passingloop.slurm import queue
from passingloop.status.query import NO_RESTS, states_of
from passingloop.status.rest import Rest
from passingloop.status.state import State
from passingloop.storage.disk_use import freed_bytes
from passingloop.storage.removal import check_is_run, check_owner
from passingloop.text import say, size_text

SHOWN = 20
"""Runs of a question that are listed."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a verb does to runs, and how people are told."""

    verb: str
    """As a question begins: ``Delete``."""
    done: str
    """``deleted``."""
    consequence: str
    """What it means for the runs, as a sentence."""
    removed: Callable[[RunDir], Sequence[Path]]
    """The folders of a run that are removed."""
    carry_out: Callable[[RunDir], RunDir]
    """Does it to a run, and returns its place."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that may go, and what that frees."""

    run: RunDir
    state: str
    freed: int
    """Bytes."""

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.run.path), "state": self.state, "freed_bytes": self.freed}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN|NAME|JOBID", help="as for the other verbs; none means none")
    parser.add_argument(
        "--where", metavar="CONDITION", help="only runs that fulfil it, as `passingloop list` takes it; of all yours"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_root(parser)


def selected(arguments: argparse.Namespace, selection: Selection) -> list[Entry]:
    """The runs of a selection that the command line names; never all of them by saying nothing.

    Raises:
        ConfigError: it names none, or the condition is wrong.
    """
    if not arguments.runs and arguments.where is None:
        raise ConfigError("You named no run. Name runs, or set --where with a condition.")
    named = [entry for word in arguments.runs for entry in selection.named(word)]
    entries = list({entry.run: entry for entry in (named if arguments.runs else own(selection.every))}.values())
    if arguments.where is None or not entries:
        return entries
    holds = Keys(entries).predicate(expression.parse(arguments.where))
    states = states_of([entry.run for entry in entries], known_rests(entries))
    now = time.time()
    return [entry for entry, state in zip(entries, states, strict=True) if holds(Listed(entry, now, state))]


def put_aside(arguments: argparse.Namespace, entries: Sequence[Entry], selection: Selection, action: Action) -> int:
    """Say which of the runs may go and what that frees, ask, and do it to each.

    Args:
        selection: of all runs that may need one of them.

    Returns 1 if the answer is no, or one of the runs is left alone; else 0.

    Raises:
        ConfigError: there is no terminal to ask at.
    """
    read = {entry.run for entry in entries if entry.facts.created}
    found, refused = candidates(entries, action, known_rests(entries), read)
    for sentence in refused:
        say(f"Left alone: {sentence}")
    for sentence in _uses(found, selection):
        say(sentence)
    if not found:
        say(f"There is nothing to be {action.done}.")
    elif arguments.dry_run:
        if not arguments.json:
            print("\n".join(_lines(found)))
        say(f"{_runs_text(found)} would be {action.done}, which frees {_size(found)}.")
    elif not _is_agreed(arguments, found, action):
        say(f"Nothing was {action.done}.")
        return 1
    else:
        agreed = {candidate.run for candidate in found}
        found, late = _done([entry for entry in entries if entry.run in agreed], arguments, action)
        say(f"{action.done.capitalize()} {_runs_text(found)}; that freed {_size(found)}.")
        refused += late
    if arguments.json:
        print(as_json([candidate.as_json() for candidate in found]))
    return 1 if refused else 0


def candidates(
    entries: Sequence[Entry],
    action: Action,
    rests: Mapping[RunDir, Rest] = NO_RESTS,
    read: Container[RunDir] = (),
) -> tuple[list[Candidate], list[str]]:
    """Those of the runs that may go, and for each of the others a sentence why not.

    Args:
        rests: as for `states_of`; none where the runs have been read some time ago.
        read: runs whose record has just been read; it is checked before something is done to them.
    """
    found, refused = list[Candidate](), list[str]()
    states = states_of([entry.run for entry in entries], rests)
    is_queue_known = _is_queue_known(states)
    for state in states:
        try:
            (check_owner if state.run in read else check_is_run)(state.run)
            if why := _activity(state, is_queue_known=is_queue_known):
                refused.append(f"{state.run.path} {why}")
            else:
                found.append(Candidate(state.run, state.kind, freed_bytes(action.removed(state.run))))
        except RunError as error:
            refused.append(str(error))
    return found, refused


def _activity(state: State, *, is_queue_known: bool) -> str | None:
    """Why a run must be left alone, as the end of a sentence; None if nothing works on it, nor will."""
    if state.is_active:
        return f"is {state.kind}. `passingloop cancel` stops it."
    if is_locked(state.run):
        return f"is at work: {lock_holder(state.run)} holds its lock."
    if not is_queue_known and _was_submitted(state):
        return "was submitted to Slurm, which does not answer, so it may be in the queue. Try again later."
    return None


def _is_queue_known(states: Sequence[State]) -> bool:
    """Whether Slurm can say which of the runs wait in its queue; it is asked only if one may."""
    try:
        if any(map(_was_submitted, states)):
            queue.jobs({os.getuid()})
    except MissingError:
        return False
    return True


def _was_submitted(state: State) -> bool:
    return state.kind != "completed" and ledger.read(state.run).newest_job is not None


def _is_agreed(arguments: argparse.Namespace, found: Sequence[Candidate], action: Action) -> bool:
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{_runs_text(found)} would be {action.done}, but there is no terminal to ask you at. Add --yes if you "
            "mean it; --dry-run shows which they are."
        )
    for line in _lines(found):
        say(line)
    say(action.consequence)
    print(
        f"{action.verb} {_runs_text(found)}, which frees {_size(found)}? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        say("")  # the question's line has no end yet
        raise
    return answer.strip().lower() in ("y", "yes")


def _done(entries: Sequence[Entry], arguments: argparse.Namespace, action: Action) -> tuple[list[Candidate], list[str]]:
    """Do it. Returns as `candidates` does; what has begun to work on a run since the question is found here."""
    home, done = Home.for_user(arguments.run_root.expanduser().absolute()), list[Candidate]()
    home.create()
    with home.lock():  # nothing is submitted meanwhile
        found, refused = candidates(entries, action)
        for candidate in found:
            try:
                place = action.carry_out(candidate.run)
            except RunError as error:
                refused.append(str(error))
                continue
            done.append(candidate)
            if not arguments.json:
                print(place.path)
    for sentence in refused:
        say(f"Left alone: {sentence}")
    return done, refused


def _uses(found: Sequence[Candidate], selection: Selection) -> list[str]:
    """A sentence for each of the runs whose model is what other runs began from."""
    going = {os.fspath(candidate.run.path): candidate for candidate in found}
    users: dict[str, int] = {}
    for entry in selection.every if going else ():
        model = entry.settings.get("model.path")
        for place in Path(model).parents if isinstance(model, str) and model.startswith("/") else ():
            if os.fspath(place) in going and os.fspath(entry.run.path) not in going:
                users[os.fspath(place)] = users.get(os.fspath(place), 0) + 1
    return [
        f"{going[place].run.short_name}: {'another run' if count == 1 else f'{count} other runs'} began from its "
        "model, and cannot be continued or repeated without it."
        for place, count in users.items()
    ]


def _lines(found: Sequence[Candidate]) -> list[str]:
    """A line for each, the largest first."""
    largest = sorted(found, key=lambda candidate: -candidate.freed)
    lines = [f"{each.run.short_name}  {each.state}  {size_text(each.freed)}" for each in largest[:SHOWN]]
    return lines + ([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])


def _runs_text(found: Sequence[Candidate]) -> str:
    return count_text(len(found), "run")


def _size(found: Sequence[Candidate]) -> str:
    return size_text(sum(candidate.freed for candidate in found))
