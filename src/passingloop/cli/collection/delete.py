"""``passingloop delete``: delete runs, with their checkpoints and exported models.

It says what that frees, and asks. What trains, waits in the queue or is locked is left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from passingloop.cli.collection import putting_aside
from passingloop.cli.collection.putting_aside import Action, put_aside, selected
from passingloop.cli.selection import Selection, is_begin
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.storage.removal import delete, remainders, remove_remainder
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    putting_aside.add_arguments(parser)
    parser.add_argument("--archived", action="store_true", help="runs of the archive")


def main(arguments: argparse.Namespace) -> int:
    """Delete the runs; their directories on stdout. Returns 1 if one is left alone or the answer is no, else 0.

    Raises:
        ConfigError: no run is named, a word names none, or there is no terminal to ask at.
    """
    in_use = Selection(arguments.run_root)
    root = Home.for_user(in_use.root).archive if arguments.archived else in_use.root
    if not arguments.dry_run:
        finished = _finish(root)
        named = [word for word in arguments.runs if any(_names(word, run, root) for run in finished)]
        arguments.runs = [word for word in arguments.runs if word not in named]
        if named and not arguments.runs:
            return 0
    entries = selected(arguments, Selection(root) if arguments.archived else in_use)
    if not entries:
        say("No run fulfils the condition: there is nothing to delete.")
        return 0
    return put_aside(arguments, entries, in_use, ACTION)


def _finish(root: Path) -> Sequence[RunDir]:
    """Bring to its end what commands that died have begun to delete."""
    finished = [remove_remainder(path) for path in remainders(root)]
    for run in finished:
        say(f"Finished deleting {run.path}, which an earlier command had begun.")
    return [run for run in finished if not run.path.exists()]


def _names(word: str, run: RunDir, root: Path) -> bool:
    """Whether the word named a run that is deleted; its experiment, only if nothing else is left of that."""
    places = (root / word, Path(word).absolute())
    if run.path in places or word == run.path.name or is_begin(word, run.short_name):
        return True
    return run.path.parent in places and not run.path.parent.exists()


def _delete(run: RunDir) -> RunDir:
    delete(run)
    return run


ACTION = Action(
    verb="Delete",
    done="deleted",
    consequence="Their checkpoints, models and metrics are lost; nothing brings them back.",
    removed=lambda run: [run.path],
    carry_out=_delete,
)
