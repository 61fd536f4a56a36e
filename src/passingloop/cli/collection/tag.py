"""``passingloop tag``: give runs tags, by which `passingloop list --where tag=word` finds them.

Without a word the tags are printed. They are in the run's marks.json, and change nothing about the run.
"""

from __future__ import annotations

import argparse

from passingloop.cli.selection import Selection, add_root
from passingloop.index import run_marks
from passingloop.index.run_marks import Marks
from passingloop.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN|NAME|JOBID", help="as for the other verbs; a NAME tags all of its runs")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the tags")
    parser.add_argument(
        "--remove", nargs="*", metavar="WORD", help="take these tags away; without WORD, all. Stands after RUN"
    )
    add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Change the tags; each run and its tags on stdout. Returns 0.

    Raises:
        ConfigError: the word names no run, a tag is none, or a run is someone else's.
        RunError: the file of a run cannot be understood or locked.
    """
    words = run_marks.check_tags(arguments.words)

    def edit(old: Marks) -> Marks:
        kept = old if arguments.remove is None else old.without_tags(tuple(arguments.remove) or old.tags)
        return kept.with_tags(words)

    is_change = words or arguments.remove is not None
    for entry in Selection(arguments.run_root).named(arguments.run):
        marked = run_marks.change(entry.run, edit) if is_change else run_marks.read(entry.run)
        print(printable(" ".join([f"{entry.name}/{entry.signature}", *marked.tags])))
    return 0
