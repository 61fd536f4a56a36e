"""A small run, and what tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passingloop import files
from passingloop.rundir.directory import RunDir
from tests.conftest import Finished

SMALL = (
    "data.limit=96",
    "data.max_length=24",
    "trainer.batch_size=16",
    "trainer.steps=12",
    "trainer.log_every=1",
    "trainer.deterministic=true",
)
"""96 short texts: 6 steps an epoch."""


def run_of(finished: Finished) -> RunDir:
    """The one run directory on stdout."""
    (line,) = finished.stdout.splitlines()
    return RunDir(Path(line))


def lines(path: Path, **fields: Any) -> list[dict[str, Any]]:
    """The JSON lines of `path` that have `fields`."""
    return [row for row in files.read_json_lines(path) if all(row.get(key) == value for key, value in fields.items())]
