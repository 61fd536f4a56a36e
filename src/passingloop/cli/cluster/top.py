"""``passingloop top``: a live view of GPUs and of your runs, with keys to follow, cancel and explain them.

In a terminal it goes on until you quit; ? shows the keys. Into a pipe or a file, and with --once, it prints what it
would show, once. Without Slurm it shows this machine.

Slurm is asked as seldom as the site says (poll_seconds), and all users of a node share its answers where the site
allows it; elsewhere each asks every 30 s. After ten minutes without a key it is asked every minute.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from typing import Any

from passingloop.cli.rows import as_json, rows
from passingloop.cli.selection import Selection, add_root
from passingloop.errors import ConfigError
from passingloop.index.catalogue import Entry
from passingloop.live.drawing import glyphs_for
from passingloop.live.machine_reading import MachineReader
from passingloop.live.run_reading import RunReader, result_metric
from passingloop.live.run_row import Arrangement, Ended, Progress, arranged
from passingloop.live.snapshot_page import figures, lines, row_figures
from passingloop.live.watch import Watch
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import iso_time
from passingloop.rundir.submission import Home
from passingloop.submit.repair import repair_if_possible
from passingloop.text import say

LEAST_INTERVAL = 0.5
PIPE_WIDTH = 120
"""Columns of what goes into a pipe or a file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN|NAME|JOBID", help="only these; without any, all of your runs")
    add_root(parser)
    parser.add_argument(
        "--interval",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how often the screen changes (default: 2); more for a slow line",
    )
    parser.add_argument("--once", action="store_true", help="print it once, as lines")
    parser.add_argument("--json", action="store_true", help="print it once, as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Show the cluster and the runs until the user quits, or print them once. Returns 0.

    Raises:
        ConfigError: a word names no run, or the interval is none.
    """
    if not arguments.interval >= LEAST_INTERVAL:
        raise ConfigError(f"You set --interval {arguments.interval:g}, but it is {LEAST_INTERVAL:g} seconds at least.")
    root = arguments.run_root.expanduser().absolute()
    repair_if_possible(Home.for_user(root))

    first = [Selection(root).chosen(arguments.runs)]  # at once, as a word may name no run

    def find() -> dict[RunDir, Ended | None]:
        entries = first.pop() if first else Selection(root).chosen(arguments.runs)
        return {entry.run: known_end(entry) for entry in entries}

    watch = Watch(RunReader(find), MachineReader(), arguments.interval)
    nothing = f"You have no runs under {root}. --run-root or PASSINGLOOP_RUN_ROOT names another folder."
    if arguments.once or arguments.json or not _is_terminal():
        return _print_once(watch, nothing, as_objects=arguments.json)
    return _show(watch, arguments, nothing)


def known_end(entry: Entry) -> Ended | None:
    """What the index knows of a run, if it has ended."""
    rest, known = entry.facts.rest, entry.facts.progress
    if rest is None or rest.state.kind != "completed":
        return Ended(rest=rest, progress=None) if rest else None
    return Ended(rest=rest, progress=Progress(step=known.step, steps=known.steps, metric=result_metric(known.metrics)))


def _is_terminal() -> bool:
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return all(stream and stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"


def _print_once(watch: Watch, nothing: str, *, as_objects: bool) -> int:
    watch.ask()
    board = watch.look()
    shown = arranged(board.rows, Arrangement(), board.now)
    curves = {row.state.run: watch.curves(row) for row in shown}
    if as_objects:
        own: list[dict[str, Any]] = [
            {**status, **row_figures(row, curves[row.state.run], board.now)}
            for status, row in zip(rows([row.state for row in shown]), shown, strict=True)
        ]
        now = figures(board)
        slurm = {name: iso_time(value) if isinstance(value, float) else value for name, value in now["slurm"].items()}
        print(as_json({**now, "time": iso_time(board.now), "slurm": slurm, "runs": own}))
        return 0
    width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns
    print("\n".join(lines(board, shown, curves, width, glyphs_for(sys.stdout.encoding, os.environ))))
    if not shown:
        say(nothing)
    return 0


def _show(watch: Watch, arguments: argparse.Namespace, nothing: str) -> int:
    """Run the application; it leaves the terminal as it was. A signal that ended it ends this process."""
    from passingloop.live.top_app import TopApp  # textual takes 0.2 s
    from passingloop.live.verbs import Verbs

    verbs = Verbs(arguments.run_root.expanduser().absolute(), dict(os.environ))
    app = TopApp(watch, verbs, glyphs_for(sys.stdout.encoding, os.environ), arguments.interval, nothing)
    number = app.run(mouse=False)
    if number:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return app.return_code or 0
