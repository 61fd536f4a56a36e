"""``passingloop list``: find runs by their settings, metrics, state, tags.

A condition compares keys with values, joined by `and`, `or`, `not` and parentheses:

    passingloop list --where 'data.source=files and test/accuracy>0.9' --sort -test/accuracy

Operators are = != < <= > >= ~ !~ and `in (a, b)`; ~ finds a text anywhere in the value, or a pattern with * and ?.
Keys are the settings of runs (optim.lr), their metrics (test/accuracy), and fields such as state, tag, age, gpu_hours.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.cli.selection import Selection, add_runs, known_rests, own
from passingloop.errors import ConfigError
from passingloop.index import expression
from passingloop.index.catalogue import Entry
from passingloop.index.keys import FIELDS, Keys, Listed, Reader, ordered
from passingloop.report.list_page import plain, table
from passingloop.report.run_table import metric_text
from passingloop.rundir.submission import Home
from passingloop.status.query import shown_states
from passingloop.text import say
from passingloop.track.metrics_file import json_value

COLUMNS = ("run", "state", "metric", "gpu_hours", "created", "tags", "note")
"""The columns if none are chosen. In the table `run` is short."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runs(parser)
    parser.add_argument("--where", metavar="CONDITION", help="list only runs that fulfil it")
    parser.add_argument(
        "--sort",
        metavar="KEY[,KEY]",
        help="sort by these keys; -KEY puts the highest first. Runs without a value come last",
    )
    parser.add_argument(
        "--columns", metavar="KEY[,KEY]", help=f"show these keys instead of {','.join(COLUMNS)}; +KEY adds one to them"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="list no more than the first N")
    parser.add_argument("--everyone", action="store_true", help="also the runs of other users under the run root")
    parser.add_argument("--archived", action="store_true", help="the runs of the archive instead")
    parser.add_argument("--csv", action="store_true", help="print CSV with a header")
    parser.add_argument("--keys", action="store_true", help="list the keys that these runs have, and no runs")


def main(arguments: argparse.Namespace) -> int:
    """Print a table, a list of JSON objects, or CSV. Returns 0, also if no run fulfils the condition.

    Raises:
        ConfigError: a word names no run, or the condition or a key is wrong.
    """
    if arguments.json and arguments.csv:
        raise ConfigError("You set --json and --csv, but one output has one format. Leave one of them out.")
    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"You set --limit {arguments.limit}, but at least one run is to be listed. Set 1 or more.")
    condition = expression.parse(arguments.where) if arguments.where is not None else None
    entries = _entries(arguments, condition)
    keys = Keys(entries)
    if arguments.keys:
        print("\n".join([*FIELDS, *sorted(keys.settings), *sorted(keys.metrics)]))
        return 0
    if not entries:
        return _print_nothing(arguments)
    columns = _columns(arguments)
    readers = {key: keys.reader(key) for key in columns}
    order = [(keys.reader(key), is_descending) for key, is_descending in _order(arguments)]
    holds = keys.predicate(condition) if condition else None
    found = ordered(_matching(entries, holds), order)[: arguments.limit]
    if arguments.json:
        print(as_json([{key: json_value(readers[key](run)) for key in columns} for run in found]))
    elif arguments.csv:
        _print_csv(columns, [[plain(readers[key](run)) for key in columns] for run in found])
    elif found:
        _print_table(columns, [[_cell(key, readers[key], run) for key in columns] for run in found])
    else:
        say(f"None of these {len(entries)} runs fulfils the condition.")
    return 0


def _matching(entries: Sequence[Entry], holds: Callable[[Listed], bool] | None) -> list[Listed]:
    """Those of the runs that fulfil the condition. How a run stands is found out last, and for few."""
    now = time.time()
    maybe = [entry for entry in entries if holds is None or not entry.is_final or holds(Listed(entry, now))]
    states = shown_states([entry.run for entry in maybe], rests=known_rests(maybe))
    listed = [Listed(entry, now, state) for entry, state in zip(maybe, states, strict=True)]
    return [run for run in listed if holds is None or holds(run)]


def _print_nothing(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print("[]")
    elif arguments.csv:
        _print_csv(_columns(arguments), [])
    where = "in the archive of" if arguments.archived else "under"
    say(f"You have no runs {where} {arguments.run_root}. --run-root or PASSINGLOOP_RUN_ROOT names another folder.")
    return 0


def _print_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(table(columns, rows, datetime.now().astimezone(), width)))


def _cell(key: str, read: Reader, run: Listed) -> Any:
    """A value for the table, which is for people: a run by its short name, the metric with its name."""
    if key == "run":
        return f"{run.entry.name}/{run.entry.signature}"
    if key == "metric":
        return metric_text(run.metrics)
    return read(run)


def _entries(arguments: argparse.Namespace, condition: expression.Expression | None) -> list[Entry]:
    """The runs among which is looked: the user's own, unless others are asked for."""
    selection = Selection(arguments.run_root)
    if arguments.archived:
        selection = Selection(Home.for_user(selection.root).archive)
    if arguments.runs:
        named = (entry for word in arguments.runs for entry in selection.named(word))
        return list({entry.run: entry for entry in named}.values())
    everyone = arguments.everyone or (condition is not None and "user" in expression.keys(condition))
    return selection.every if everyone else own(selection.every)


def _columns(arguments: argparse.Namespace) -> list[str]:
    usual = list(FIELDS if arguments.json else COLUMNS)
    words = [word.strip() for word in (arguments.columns or "").split(",") if word.strip()]
    if not words:
        return usual
    added = [word.removeprefix("+") for word in words]
    columns = usual + added if words[0].startswith("+") else added
    return list(dict.fromkeys(columns))


def _order(arguments: argparse.Namespace) -> list[tuple[str, bool]]:
    """The keys to sort by, the most important first, each with whether the highest comes first."""
    words = [word.strip() for word in (arguments.sort or "").split(",") if word.strip()]
    return [(word.removeprefix("-"), word.startswith("-")) for word in words]
