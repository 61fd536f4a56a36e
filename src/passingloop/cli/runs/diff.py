"""``passingloop diff``: the settings in which two runs differ, and whether their code or data do."""

from __future__ import annotations

import argparse
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.cli.selection import add_root, single_run
from passingloop.errors import RunError
from passingloop.report.differences import difference, page
from passingloop.rundir import record
from passingloop.rundir.directory import RunDir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("A", "B"):
        parser.add_argument(name, help="a run's directory or signature, or the name of an experiment with one run")
    add_root(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print what differs. Returns 0, also if something does.

    Raises:
        ConfigError: a word names no run, or several.
        RunError: the record of a run is damaged.
    """
    runs = [single_run(word, arguments.run_root) for word in (arguments.A, arguments.B)]
    report = difference(*map(_record, runs))
    report = {"a": str(runs[0].path), "b": str(runs[1].path), **report}
    print(as_json(report) if arguments.json else "\n".join(page(report)))
    return 0


def _record(run: RunDir) -> dict[str, Any]:
    try:
        content = record.read(run)
        if isinstance(content["config"], dict) and "code" in content:
            return content
    except (ValueError, KeyError):
        pass
    raise RunError(f"{run.record} is damaged: it has no settings and code as passingloop writes them, to be compared.")
