"""How much disk space folders take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from passingloop.errors import RunError

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's blocks are."""


def freed_bytes(folders: Iterable[Path]) -> int:
    """What would be free if all of these folders were removed; a folder that is not there takes nothing.

    Blocks count, not lengths: a file with holes takes less than its length, a short one more. A file with several names
    (hard links) is free only if all of them are in these folders. Links are not followed.

    Raises:
        RunError: a folder cannot be read, or another file system is mounted in it.
    """
    total = 0
    links: dict[tuple[int, int], int] = {}
    for folder in folders:
        for status in _everything(folder):
            names = 1
            if status.st_nlink > 1 and not _is_folder(status):
                names = links[status.st_dev, status.st_ino] = links.get((status.st_dev, status.st_ino), 0) + 1
            if names == status.st_nlink or _is_folder(status):
                total += status.st_blocks * BLOCK_BYTES
    return total


def _everything(folder: Path) -> Iterator[os.stat_result]:
    """The status of the folder and of everything in it."""
    try:
        top = folder.lstat()
    except FileNotFoundError:
        return
    yield top
    pending = [os.fspath(folder)]
    while pending:
        for entry in _entries(pending.pop()):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # it is gone meanwhile
                continue
            if status.st_dev != top.st_dev:
                raise RunError(f"{entry.path} is on another file system, which is mounted there. Unmount it first.")
            yield status
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error.strerror}), so nothing in it is removed.") from None


def _is_folder(status: os.stat_result) -> bool:
    return status.st_mode & 0o170000 == 0o040000
