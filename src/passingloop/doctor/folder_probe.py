"""Tries a folder: writes, locks, renames, and asks for room and mount; and makes the mark by which nodes find it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.doctor.folder_checks import FolderEvidence
from passingloop.doctor.node_checks import MarkEvidence

PREFIX = ".passingloop-doctor-"
"""Of the folders that are made and removed again; what `passingloop status` skips."""

TOKEN, ANSWER = "token", "answer"


def look_at(path: Path) -> FolderEvidence:
    """Try `path`, or its nearest ancestor while it does not exist, in a folder that is removed again."""
    probed = existing(path)
    kind, options = mount_of(probed)
    seen = FolderEvidence(path=str(path), probed=str(probed), kind=kind, options=options)
    try:
        found = probed.stat()
        seen = replace(seen, mode=found.st_mode & 0o7777, foreign=found.st_uid not in (0, os.getuid()))
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=probed))
    except OSError as error:
        return replace(seen, error=error.strerror or str(error))
    try:
        return _tried(_with_room(seen, folder), folder)
    except OSError as error:
        return replace(seen, error=error.strerror or str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def existing(path: Path) -> Path:
    """`path`, or its nearest ancestor that is a folder."""
    return next((folder for folder in (path, *path.parents) if os.path.isdir(folder)), Path("/"))  # noqa: PTH112


def mount_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """The type and the options of the file system that holds `path`; empty if they are not known."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", ()
    return read_mounts(lines, path.resolve())


def read_mounts(lines: list[str], path: Path) -> tuple[str, tuple[str, ...]]:
    """The same, from the lines of /proc/mounts: proc(5). Of several mounts on one folder the last counts."""
    best: tuple[int, str, tuple[str, ...]] = (-1, "", ())
    for line in lines:
        _, mount, kind, options, *_ = line.split(" ")
        folder = Path(mount.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if path.is_relative_to(folder) and len(folder.parts) >= best[0]:
            best = len(folder.parts), kind, tuple(options.split(","))
    return best[1:]


def _with_room(seen: FolderEvidence, folder: Path) -> FolderEvidence:
    found = os.statvfs(folder)
    files = found.f_favail if found.f_files else None
    return replace(seen, free_bytes=found.f_bavail * found.f_frsize, free_files=files)


def _tried(seen: FolderEvidence, folder: Path) -> FolderEvidence:
    new, old = folder / "new", folder / "old"
    old.write_bytes(b"old")
    before, began = time.time(), time.perf_counter()
    with new.open("wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    took, after = time.perf_counter() - began, time.time()
    dated = new.stat().st_mtime
    return replace(
        seen,
        sync_seconds=took,
        clock_offset=dated - after if dated > after else min(0.0, dated - before),
        lock_error=_lock_error(old),
        rename_error=_rename_error(new, old),
    )


def _lock_error(path: Path) -> str:
    with path.open("a") as first, path.open("a") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        except OSError as error:
            return error.strerror or str(error)
    return "the same lock was granted twice"


def _rename_error(new: Path, old: Path) -> str:
    try:
        new.replace(old)
    except OSError as error:
        return error.strerror or str(error)
    return "" if old.stat().st_size == 4096 and not new.exists() else "the old content stayed"


@dataclass(frozen=True, slots=True)
class Mark:
    """A folder with a locked file, by which a node shows that it sees the same file system."""

    folder: Path
    token: str

    def is_answered(self) -> bool:
        """Whether the node's answer has arrived."""
        try:
            os.scandir(self.folder).close()  # makes NFS look again
            return (self.folder / ANSWER).read_text(encoding="utf-8") == self.token
        except OSError:
            return False


@contextlib.contextmanager
def mark_in(path: Path) -> Iterator[Mark]:
    """A mark in `path`, or in its nearest ancestor that exists; its lock is held until the context ends.

    Raises:
        OSError: nothing can be written there.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=existing(path)))
    mark = Mark(folder, secrets.token_hex(8))
    try:
        (folder / TOKEN).write_text(mark.token, encoding="utf-8")
        with (folder / TOKEN).open("a") as file:
            with contextlib.suppress(OSError):  # without locks the check of this machine says so
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield mark
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer(mark: Mark) -> MarkEvidence:
    """On the node: what is seen of the mark. An answer is written and renamed beside it."""
    path = mark.folder / TOKEN
    try:
        same = path.read_text(encoding="utf-8") == mark.token
        lock = _foreign_lock(path)
    except OSError:
        return MarkEvidence(found=False)
    error = ""
    try:
        written = mark.folder / f"{ANSWER}-{os.getpid()}"
        written.write_text(mark.token, encoding="utf-8")
        written.replace(mark.folder / ANSWER)
    except OSError as problem:
        error = f"{mark.folder}: {problem.strerror or problem}"
    return MarkEvidence(found=True, same=same, lock=lock, error=error)


def _foreign_lock(path: Path) -> str:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "held"
        except OSError as error:
            return error.strerror or str(error)
    return "free"
