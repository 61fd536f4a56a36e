"""``passingloop tag``: give runs tags, by which `passingloop list --where tag=word` finds them.

Without a word the tags are printed. They are in the run's marks.json, and change nothing about the run.
"""

from __future__ import annotations

import argparse

from passingloop.cli.selection import Selection, add_root
from passingloop.rundir import marks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN|NAME|JOBID", help="as for the other verbs; a NAME tags all of its runs")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the tags")
    parser.add_argument("--remove", action="store_true", help="take these tags away; without WORD, all")
    add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Change the tags; each run and its tags on stdout. Returns 0.

    Raises:
        ConfigError: the word names no run, a tag is none, or a run is someone else's.
        RunError: the file of a run cannot be understood or locked.
    """
    words = marks.check_tags(arguments.words)
    for entry in Selection(arguments.run_root).named(arguments.run):
        if arguments.remove:
            changed = marks.change(entry.run, lambda old: old.without_tags(words or old.tags))
        elif words:
            changed = marks.change(entry.run, lambda old: old.with_tags(words))
        else:
            changed = marks.read(entry.run)
        print(" ".join([f"{entry.name}/{entry.signature}", *changed.tags]))
    return 0
