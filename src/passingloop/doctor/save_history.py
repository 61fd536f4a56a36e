"""How long the user's runs have taken to save: from the ledgers and checkpoints in the run directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from passingloop.doctor.preemption_checks import SaveMeasure
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End

STOPPED = ("preempted", "requeued", "timeout", "cancelled", "interrupted")
"""Causes of an end at which a run saves and exports nothing, so that its time of saving is that of checkpoints."""

MOST_RUNS = 50
"""The newest runs that are looked at: a root may hold thousands."""


def slowest_save(run_root: Path) -> SaveMeasure | None:
    """The run of this user that took longest to save when it was stopped; None if none was stopped and had saved."""
    return max(_measures(run_root), key=lambda save: (save.at_least, save.at_most), default=None)


def _measures(run_root: Path) -> Iterator[SaveMeasure]:
    for run in _newest_runs(run_root):
        ends = [end for end in ledger.read(run).events_of(End) if end.cause in STOPPED and end.seconds.saving > 0]
        if ends and (checkpoints := run.complete_checkpoints()):
            times, size = _files(checkpoints[0])
            yield SaveMeasure(
                run=str(run.path),
                at_most=max(end.seconds.saving for end in ends),
                at_least=max(times) - min(times) if times else 0.0,
                bytes=size,
            )


def _newest_runs(run_root: Path) -> list[RunDir]:
    found = []
    for path in run_root.glob("*/*/attempts.jsonl"):
        try:
            status = path.stat()
        except OSError:  # another user's, or gone meanwhile
            continue
        if status.st_uid == os.getuid():
            found.append((status.st_mtime, RunDir(path.parent)))
    return [run for _, run in sorted(found, key=lambda pair: pair[0], reverse=True)[:MOST_RUNS]]


def _files(checkpoint: Path) -> tuple[list[float], int]:
    """When each file of a checkpoint was written, and the bytes of all."""
    found = [path.stat() for path in checkpoint.rglob("*") if path.is_file()]
    return [status.st_mtime for status in found], sum(status.st_size for status in found)
