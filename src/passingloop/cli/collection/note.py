"""``passingloop note``: write down what is to be remembered about a run.

Without a text the note is printed. It is in the run's marks.json, and changes nothing about the run.
"""

from __future__ import annotations

import argparse

from passingloop.cli.selection import add_root, single_run
from passingloop.errors import ConfigError
from passingloop.index import run_marks
from passingloop.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN|JOBID", help="one run, as for the other verbs")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the note, in the place of the one before")
    parser.add_argument("--remove", action="store_true", help="remove the note")
    add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Change the note; it is on stdout afterwards. Returns 0.

    Raises:
        ConfigError: the word names no run or several, or the run is someone else's.
        RunError: its file cannot be understood or locked.
    """
    text = " ".join(arguments.text).strip()
    if text and arguments.remove:
        raise ConfigError("You gave a note and set --remove. Leave one of them out.")
    run = single_run(arguments.run, arguments.run_root)
    is_change = text or arguments.remove
    marked = run_marks.change(run, lambda old: old.with_note(text or None)) if is_change else run_marks.read(run)
    if marked.note:
        print("\n".join(map(printable, marked.note.splitlines())))
    return 0
