"""``passingloop diff``: the settings in which two runs differ, and whether their code or data do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from passingloop.cli.rows import as_json
from passingloop.cli.selection import add_root, one
from passingloop.files import read_json
from passingloop.report.differences import page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("A", "B"):
        parser.add_argument(name, help="a run's directory or signature, or the name of an experiment with one run")
    add_root(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print what differs. Returns 0, also if something does.

    Raises:
        ConfigError: a word names no run, or several.
    """
    runs = [one(word, arguments.run_root) for word in (arguments.A, arguments.B)]
    found = difference(*(read_json(run.record) for run in runs))
    found = {"a": str(runs[0].path), "b": str(runs[1].path), **found}
    print(as_json(found) if arguments.json else "\n".join(page(found)))
    return 0


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Of two records: under `config` the values of each setting that differs, those of `a` and of `b`; `code` and
    `data` say whether they differ, the latter null as long as one of the runs has not read its data."""
    flat_a, flat_b = (dict(flat(record["config"])) for record in (a, b))
    keys = sorted(key for key in {*flat_a, *flat_b} if flat_a.get(key) != flat_b.get(key))
    prints = [record["data_fingerprint"] for record in (a, b)]
    return {
        "config": {key: [flat_a.get(key), flat_b.get(key)] for key in keys},
        "code": a["code"] != b["code"],
        "data": None if None in prints else prints[0] != prints[1],
    }


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings by their names in full, such as ``optim.lr``."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
