"""One attempt at a run at a time: a lock that is held as long as any process of the run lives, and no longer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from passingloop.errors import RunBusy, RunError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import now

PROBING = 0.2
"""Seconds for which `hold` always tries again: `is_held` takes the lock for some microseconds."""


def hold(run: RunDir, patience: float = 0.0) -> int:
    """Lock the run for this process and those it starts with the returned descriptor.

    flock(2) belongs to the open file: it goes when the last process that has the descriptor is gone, however it
    ended, so no stale lock stays behind. On NFS Linux turns it into a lock on the server that other nodes see.

    Args:
        patience: seconds to wait for another process to release it.

    Raises:
        RunBusy: another process holds it; the message says which.
        RunError: the run belongs to someone else, or its file system has no locks.
    """
    try:
        descriptor = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        raise RunError(
            f"You may not write to {run.path}, so it is someone else's run. Set name or run_root to have your own."
        ) from None
    try:
        _lock(descriptor, max(PROBING, patience))
    except BlockingIOError:
        os.close(descriptor)
        raise RunBusy(
            f"{run.path} is being trained already, by {holder(run) or 'a process that has only just started'}. Nothing "
            "was started. Wait for it, or set rerun=true to train the same again beside it."
        ) from None
    except OSError as error:
        raise RunError(
            f"{run.path} cannot be locked ({error.strerror}), so nothing would keep two trainings apart. Put run_root "
            "on a file system with locks; Lustre has them when it is mounted with -o flock."
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode(), 0)
    return descriptor


def is_held(run: RunDir) -> bool:
    """Whether a process trains the run. Takes the lock shared for a moment, so that several may ask at once."""
    try:
        descriptor = os.open(run.lock, os.O_RDONLY)
    except OSError:  # never started, or someone else's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks, on which nothing is started
        return False
    finally:
        os.close(descriptor)
    return False


def holder(run: RunDir) -> str:
    """The process that took the lock last, for people: ``process 12 on host since …``; empty if it is not known."""
    try:
        return run.lock.read_text(errors="replace").strip()
    except OSError:
        return ""


def local_processes(run: RunDir) -> list[int]:
    """The processes on this machine that hold the lock, without those that one of them has started."""
    holding = set(_holding(run.lock.stat()))
    return sorted(pid for pid in holding if _parent(pid) not in holding)


def _lock(descriptor: int, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, 0.02
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(1.0, 1.5 * pause)


def _holding(lock: os.stat_result) -> Iterator[int]:
    """From proc(5): what is open in each of our processes, and which locks go with it."""
    for opened in Path("/proc").glob("[0-9]*/fdinfo/*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            process, number = opened.parents[1], opened.name
            if os.path.samestat((process / "fd" / number).stat(), lock) and "FLOCK" in opened.read_text():
                yield int(process.name)


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
