"""Whether the files of a run have changed since they were read.

The stamp of a run has inode, size and times of its directory and of the files that are read. A file that was not there
can only appear by a change of the directory, so such files need not be looked for.

File systems count time in steps, of a second on some, so of two changes within one step the second might not be seen: a
run that has changed within `UNSETTLED` seconds before its files were read is read again the next time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from operator import attrgetter

UNSETTLED = 3.0
"""Seconds: more than a step of time on any file system, and than the clocks of two machines usually differ."""

IDENTITY = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""Both times: one of modification can be set back, as rsync does, and some file systems have no other."""

ALWAYS = ("", "/run.json", "/attempts.jsonl", "/result.json", "/marks.json")
"""What is read of every run; the directory itself comes first."""
METRICS = "/metrics.jsonl"
"""What is read of a run without a result as well."""

Files = dict[str, list[int]]
"""What `IDENTITY` says of each file that is there."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A run directory at one time."""

    owner: int
    """The user id of its owner."""
    files: Files

    def is_settled(self, taken: float) -> bool:
        """Whether every later change will show in another stamp.

        Args:
            taken: when the stamp was, in seconds since the epoch; the files must have been read after that.
        """
        return max(max(times) for _, _, *times in self.files.values()) < (taken - UNSETTLED) * 1e9


def stamp_of(folder: str) -> Stamp | None:
    """The stamp of a run directory; None if it is none, or closed to us."""
    try:
        owner = os.stat(folder).st_uid  # noqa: PTH116  # as in `is_unchanged`
    except OSError:
        return None
    files: Files = {}
    for name in (*ALWAYS, METRICS):
        if name == METRICS and "/result.json" in files:
            break
        try:
            files[name] = [*IDENTITY(os.stat(folder + name))]  # noqa: PTH116
        except OSError:
            continue
    return Stamp(owner, files) if "/run.json" in files else None


def is_unchanged(folder: str, stamp: Stamp) -> bool:
    """Whether a run directory still has this stamp."""
    try:
        for name, identity in stamp.files.items():
            if [*IDENTITY(os.stat(folder + name))] != identity:  # noqa: PTH116  # pathlib takes three times as long
                return False
    except OSError:
        return False
    return True


def folder_names(folder: str) -> list[str]:
    """The names of the folders in `folder`, sorted, without those of passingloop itself; none if it is closed to us."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith(".passingloop"))
