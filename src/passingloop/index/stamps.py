"""Whether the files of a run have changed since they were read.

The stamp of a run has inode, size and times of its directory and of the files that are read. A file that was not there
can only appear by a change of the directory, so such files need not be looked for.

File systems count time in steps, of a second on some, so of two changes within one step the second might not be seen: a
run that has changed within `UNSETTLED` seconds before its files were read is read again the next time.
"""

from __future__ import annotations

import os
from operator import attrgetter
from typing import NamedTuple

UNSETTLED = 3.0
"""Seconds: more than a step of time on any file system, and than the clocks of two machines usually differ."""

IDENTITY = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""Both times: one of modification can be set back, as rsync does, and some file systems have no other."""

FILES = ("", "/run.json", "/attempts.jsonl", "/result.json", "/marks.json", "/metrics.jsonl")
"""The directory itself, and what is read of a run; the metrics only of one without a result."""
RECORD, RESULT, METRICS = 1, 3, 5
"""Places in `FILES`."""


class Stamp(NamedTuple):
    """A run directory at one time."""

    owner: int
    """The user id of its owner."""
    present: tuple[int, ...]
    """The places in `FILES` of those that are there."""
    digest: int
    """Of the identities of these, by `hash`: for tuples of numbers it is the same in every process."""


def stamp_of(folder: str, taken: float) -> tuple[Stamp, bool] | None:
    """The stamp of a run directory, and whether it is settled: whether every later change will show in another stamp.
    None if it is no run, or closed to us.

    Args:
        taken: a time before, in seconds since the epoch; the run's files must be read after that.
    """
    identities: dict[int, tuple[int, ...]] = {}
    try:
        owner = os.stat(folder).st_uid  # noqa: PTH116  # as in `is_unchanged`
    except OSError:
        return None
    for place, name in enumerate(FILES):
        if place == METRICS and RESULT in identities:
            break
        try:
            identities[place] = IDENTITY(os.stat(folder + name))  # noqa: PTH116
        except OSError:
            continue
    if RECORD not in identities or not is_open(folder):
        return None
    newest = max(max(times) for _, _, *times in identities.values())
    return Stamp(owner, tuple(identities), hash(tuple(identities.values()))), newest < (taken - UNSETTLED) * 1e9


def is_open(folder: str) -> bool:
    """Whether we may read the record of a run, and its ledger if there is one."""
    return os.access(f"{folder}/run.json", os.R_OK) and (
        os.access(f"{folder}/attempts.jsonl", os.R_OK) or not os.access(f"{folder}/attempts.jsonl", os.F_OK)
    )


def is_unchanged(folder: str, stamp: Stamp) -> bool:
    """Whether a run directory still has this stamp."""
    try:
        # pathlib takes three times as long
        identities = [IDENTITY(os.stat(folder + FILES[place])) for place in stamp.present]  # noqa: PTH116
    except OSError:
        return False
    return hash(tuple(identities)) == stamp.digest
