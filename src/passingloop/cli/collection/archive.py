"""``passingloop archive``: put runs away, and free the space of what is not needed of them.

Runs in the archive are in no list, and take no part in commands about all runs. They keep their exported model, their
result, metrics and logs. Completed runs lose their checkpoints, which serve only to continue; others keep them. The
same training command still finds a completed run done. `--undo` brings runs back.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from passingloop.cli.collection import putting_aside
from passingloop.cli.collection.putting_aside import Action, put_aside, selected
from passingloop.cli.selection import Selection
from passingloop.errors import ConfigError, RunError
from passingloop.index.catalogue import Entry
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.storage.removal import archive, superfluous, trim, unarchive
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    putting_aside.add_arguments(parser)
    parser.add_argument("--undo", action="store_true", help="bring runs back from the archive; nothing is asked")


def main(arguments: argparse.Namespace) -> int:
    """Archive the runs, or bring them back; where they are now on stdout.

    Returns 1 if one is left alone or the answer is no, else 0.

    Raises:
        ConfigError: no run is named, a word names none, or there is no terminal to ask at.
    """
    root = arguments.run_root.expanduser().absolute()
    home = Home.for_user(root)
    if arguments.undo:
        return _undo(selected(arguments, Selection(home.archive)), arguments)
    begun = [] if arguments.dry_run else _finish(home, arguments.runs)
    arguments.runs = [word for word in arguments.runs if word not in begun]
    if begun and not arguments.runs:
        return 0
    selection = Selection(root)
    entries = selected(arguments, selection)
    if not entries:
        say("No run fulfils the condition: there is nothing to archive.")
        return 0

    def put_away(run: RunDir) -> RunDir:
        place = archive(run, home.archive)
        trim(place)
        return place

    action = Action(
        verb="Archive",
        done="archived",
        consequence="Completed runs lose their checkpoints; `passingloop archive --undo` brings runs back.",
        removed=superfluous,
        carry_out=put_away,
    )
    return put_aside(arguments, entries, selection, action)


def _finish(home: Home, words: Sequence[str]) -> list[str]:
    """Finish what a command that died has begun with the runs of these words: those that are in the archive only."""
    begun = []
    for word in words:
        try:
            Selection(home.path.parent).named(word)
        except ConfigError:
            try:
                archived = Selection(home.archive).named(word)
            except ConfigError:
                continue
            begun.append(word)
            for entry in archived:
                trim(entry.run)
                say(f"{entry.run.path} is in the archive.")
    return begun


def _undo(entries: Sequence[Entry], arguments: argparse.Namespace) -> int:
    code = 0
    for entry in entries:
        try:
            run = entry.run if arguments.dry_run else unarchive(entry.run, arguments.run_root.expanduser().absolute())
            print(run.path)
        except RunError as error:
            say(f"Left alone: {error}")
            code = 1
    return code
