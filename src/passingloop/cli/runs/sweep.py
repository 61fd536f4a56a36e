"""``passingloop sweep NAME``: how a sweep stands: its rungs, its best points, what it waits for, and what it has used.

A sweep that stops poor points early (sweep.search=halving, asha) trains all points to the first rung, a part of their
steps; the best go on to the next. Of a sweep in which all points train to the end, the points are shown.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from passingloop.cli.rows import as_json
from passingloop.cli.selection import Selection, add_root
from passingloop.errors import ConfigError
from passingloop.files import write_output
from passingloop.report.html.search_page import search_page
from passingloop.report.search.search_json import as_plain
from passingloop.report.search.search_tables import page
from passingloop.rundir.directory import RunDir
from passingloop.search.sweep_ledger import SweepFile
from passingloop.usage.search_progress import search_progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the `name` of its runs, their folder, or one of them")
    add_root(parser)
    parser.add_argument("--all", action="store_true", help="list all points, not only the best ten")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--html", metavar="FILE", type=Path, help="write a page with charts to FILE (- for stdout)")


def main(arguments: argparse.Namespace) -> int:
    """Print the sweep. Returns 0.

    Raises:
        ConfigError: there is no such sweep, or the page cannot be written.
        OtherVersion: its ledger has another format version.
    """
    file, runs = _sweep(arguments.name, Selection(arguments.run_root))
    progress = search_progress(file, runs)
    if progress is None:
        count = "one run" if len(runs) == 1 else f"{len(runs)} runs with the same settings"
        raise ConfigError(
            f"{arguments.name} has {count}, which is no sweep. `passingloop status {arguments.name}` shows how it "
            "stands; `python train.py -m` with several values trains a sweep."
        )
    if arguments.json:
        print(as_json(as_plain(progress)))
        return 0
    if arguments.html:
        write_output(search_page(progress), arguments.html.expanduser(), "--html")
        if str(arguments.html) != "-":
            print(arguments.html.expanduser())
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(page(progress, width, everything=arguments.all)))
    return 0


def _sweep(word: str, selection: Selection) -> tuple[SweepFile, list[RunDir]]:
    """The ledger of the sweep that `word` names, whether it is there or not, and the runs of it that have begun.

    Raises:
        ConfigError: it names none.
    """
    for folder in (selection.root / word, Path(word).absolute()):
        file = SweepFile(folder)
        if file.path.exists():
            return file, [entry.run for entry in selection.named(str(folder))] if _has_runs(folder) else []
    entries = selection.named(word)
    file = SweepFile.of_run(entries[0].run)
    return file, [entry.run for entry in selection.named(str(file.folder))]


def _has_runs(folder: Path) -> bool:
    return any((path / "attempts.jsonl").exists() for path in folder.iterdir() if path.is_dir())
