"""Deletes runs, and puts them into the archive and back.

Each begins with one rename, so that a run is either where it was or not there any more. What a command that was killed
leaves behind has a name that says so, and the next one finishes it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from passingloop.errors import PassingloopError, RunBusy, RunError
from passingloop.files import sync_folder
from passingloop.rundir import record
from passingloop.rundir.directory import MANIFEST, RunDir
from passingloop.rundir.lock import acquire_lock, lock_holder

DELETED = ".passingloop-deleted-"
"""What the folder of a run is called, before its own name, while it is being deleted."""


def check_is_run(run: RunDir) -> None:
    """Check that the folder is a run of the user, and nothing else.

    Raises:
        RunError: it is not; the message says why.
    """
    check_owner(run)
    path = run.path
    try:
        signature = record.read(run)["signature"]
    except (OSError, ValueError, KeyError, TypeError, PassingloopError):
        signature = None
    name, _, number = path.name.partition(".")
    if name != signature or not (number.isdecimal() or path.name == name):
        raise RunError(
            f"{path} cannot be told to be a run: its run.json is damaged, or has another signature than its folder. "
            "Remove it yourself, if it may go."
        )


def check_owner(run: RunDir) -> None:
    """Check that the folder is there, no link, and the user's.

    Raises:
        RunError: it is not; the message says why.
    """
    path = run.path
    if path.is_symlink() or path.parent.is_symlink():
        raise RunError(
            f"{path} is a link to {path.resolve()}, and links are not followed. Name that, or remove the link."
        )
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        raise RunError(f"{path} is gone: another command has moved or deleted it.") from None
    if owner != os.getuid():
        raise RunError(f"{path} is someone else's run, which only they can change.")


def delete(run: RunDir) -> None:
    """Delete a run, which must be one by `check_is_run`.

    Raises:
        RunBusy: a process is at work on it.
        RunError: something cannot be removed; it is not seen as a run any more.
    """
    doomed = run.path.with_name(f"{DELETED}{run.path.name}")
    with _locked(run):
        if doomed.exists():  # of an earlier run in the same place
            _remove(doomed)
        _rename(run.path, doomed)
    remove_remainder(doomed)  # without the lock: on NFS no folder can be removed that has an open file


def remainders(root: Path) -> list[Path]:
    """What is left of runs under `root` whose deletion was begun."""
    found = [path for path in root.glob(f"*/{DELETED}*") if not path.is_symlink() and not path.parent.is_symlink()]
    return sorted(path for path in found if path.stat().st_uid == os.getuid())


def remove_remainder(path: Path) -> RunDir:
    """Remove one of `remainders`. Returns the run that it was.

    Raises:
        RunError: something in it cannot be removed.
    """
    _remove(path)
    with suppress(OSError):  # there are other runs
        path.parent.rmdir()
    return RunDir(path.with_name(path.name.removeprefix(DELETED)))


def archive(run: RunDir, archive_root: Path) -> RunDir:
    """Move a run, which must be one by `check_is_run`, into the archive. Returns its new place.

    Raises:
        RunBusy: a process is at work on it.
        RunError: there is one of its name already, or it is on another file system.
    """
    place = RunDir(archive_root / run.path.parent.name / run.path.name)
    with _locked(run):
        _move(run, place)
    return place


def unarchive(archived: RunDir, root: Path) -> RunDir:
    """Move an archived run back to where it was. Returns that place.

    Raises:
        RunError: there is another run.
    """
    place = RunDir(root / archived.path.parent.name / archived.path.name)
    with _locked(archived):
        _move(archived, place)
    return place


def superfluous(run: RunDir) -> list[Path]:
    """The folders that a run which is put away does not need.

    Checkpoints only serve to continue, so a run with a result needs none. One without keeps those that are complete.
    What is behind links is left alone.
    """
    if run.result.exists():
        return [run.checkpoints]
    if run.checkpoints.is_symlink():
        return []
    complete = run.complete_checkpoints()
    return sorted(path for path in run.checkpoints.glob("*") if path not in complete)


def trim(archived: RunDir) -> None:
    """Remove what an archived run does not need.

    Raises:
        RunError: something cannot be removed.
    """
    with _locked(archived):
        for folder in superfluous(archived):
            for manifest in (*folder.glob(MANIFEST), *folder.glob(f"*/{MANIFEST}")):
                if not folder.is_symlink() and not manifest.parent.is_symlink():
                    manifest.unlink(missing_ok=True)  # or half of a checkpoint would count as a whole one
            _remove(folder)


@contextmanager
def _locked(run: RunDir) -> Iterator[None]:
    """A context in which no attempt at the run can begin.

    Raises:
        RunBusy: one is at work.
    """
    try:
        lock = acquire_lock(run)
    except RunBusy:
        raise RunBusy(f"{run.path} is at work: {lock_holder(run)} holds its lock.") from None
    except FileNotFoundError:
        raise RunError(f"{run.path} is gone: another command has moved or deleted it.") from None
    try:
        yield
    finally:
        os.close(lock)


def _move(run: RunDir, place: RunDir) -> None:
    place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.path.exists():
        raise RunError(f"{place.path} exists already, so {run.path} stays where it is. Delete or rename one of them.")
    _rename(run.path, place.path)
    with suppress(OSError):  # there are other runs
        run.path.parent.rmdir()


def _rename(old: Path, new: Path) -> None:
    try:
        old.rename(new)
    except OSError as error:
        why = "it is on another file system" if error.errno == errno.EXDEV else error.strerror
        raise RunError(f"{old} cannot be moved to {new}: {why}.") from None
    sync_folder(new.parent)
    if old.parent != new.parent:
        sync_folder(old.parent)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it; links in it are removed, not followed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:  # another command removes it as well
        return
    except OSError as error:
        raise RunError(
            f"{error.filename} cannot be removed ({error.strerror}). See to it, and give the command again: it goes on."
        ) from None
