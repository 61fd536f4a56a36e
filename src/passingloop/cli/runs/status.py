"""``passingloop status``: how runs stand.

If runs are named, a terminal and --json also show advice on those of them that have ended: what their figures say, and
what to do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import datetime

from passingloop.cli.paused_runs import with_pauses_explained
from passingloop.cli.rows import as_json, rows
from passingloop.cli.run_advice import add_advice, advice_lines
from passingloop.cli.selection import add_runs, known_rests, selected_entries
from passingloop.report import run_table
from passingloop.status.query import shown_states
from passingloop.text import has_colour

add_arguments = add_runs


def main(arguments: argparse.Namespace) -> int:
    """Print a table, or a list of JSON objects. Returns 0.

    Raises:
        ConfigError: a word names no run.
    """
    entries = selected_entries(arguments)
    states = shown_states([entry.run for entry in entries], rests=known_rests(entries))
    table = rows(with_pauses_explained(states), entries)
    if arguments.runs:
        add_advice(table, states)
    if arguments.json:
        print(as_json(table))
    elif table:
        now = datetime.now().astimezone()
        at_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns
        page = run_table.page(table, now, width, colour=has_colour()) if at_terminal else run_table.lines(table, now)
        print("\n".join([*page, *(advice_lines(table, width) if at_terminal else ())]))
    return 0
