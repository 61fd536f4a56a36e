"""The lock of a run, which allows one attempt at a time. It is held while any process of the attempt is alive."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from passingloop.errors import RunBusy, RunError
from passingloop.rundir.directory import RunDir
from passingloop.rundir.record import current_time

PROBE_SECONDS = 0.2
"""Seconds for which `acquire_lock` always retries, because `is_locked` holds the lock for some microseconds."""


def acquire_lock(run: RunDir, patience: float = 0.0) -> int:
    """Lock the run, and return the descriptor of its lock file, which processes that share the lock must inherit.

    A lock of flock(2) belongs to the open file. The kernel releases it when the last process with the descriptor has
    ended, so there are no stale locks. On NFS, Linux makes it a lock on the server, which other nodes see.

    Args:
        patience: seconds to wait while another process holds the lock.

    Raises:
        RunBusy: another process holds the lock; the message says which.
        RunError: the run is another user's, or its file system has no locks.
    """
    try:
        descriptor = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        raise RunError(
            f"You may not write to {run.path}, so it is someone else's run. Set name or run_root to have your own."
        ) from None
    try:
        _acquire(descriptor, max(PROBE_SECONDS, patience))
    except BlockingIOError:
        os.close(descriptor)
        process = _local_holders(run) or lock_holder(run) or "a process that has only just started"
        raise RunBusy(
            f"{run.path} is being trained already, by {process}. Nothing was started. Wait for it, or set "
            "rerun=true to train the same again beside it."
        ) from None
    except OSError as error:
        raise RunError(
            f"{run.path} cannot be locked ({error.strerror}), so nothing would keep two trainings apart. Put run_root "
            "on a file system with locks; Lustre has them when it is mounted with -o flock."
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {current_time()}\n".encode(), 0)
    return descriptor


def _local_holders(run: RunDir) -> str:
    """The processes on this machine that hold the lock and have outlived the one that took it; empty if it is alive."""
    taker = re.match(r"process (\d+) on (\S+)", lock_holder(run))
    if not taker or taker[2] != socket.gethostname() or Path(f"/proc/{taker[1]}").exists():
        return ""
    return " and ".join(f"process {pid} on {taker[2]}" for pid in local_processes(run))


def is_locked(run: RunDir) -> bool:
    """Whether a process holds the lock. Acquires it as a shared lock for a moment, so that several can ask at once."""
    try:
        descriptor = os.open(run.lock, os.O_RDONLY)
    except OSError:  # no attempt has started, or the run is another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks, where no attempt can start
        return False
    finally:
        os.close(descriptor)
    return False


def lock_holder(run: RunDir) -> str:
    """The process that last acquired the lock, as ``process 12 on host since …``; empty if unknown."""
    try:
        return run.lock.read_text(errors="replace").strip()
    except OSError:
        return ""


def local_processes(run: RunDir) -> list[int]:
    """The ids of the processes on this machine that hold the lock, without their child processes."""
    pids = set(_lock_processes(run.lock.stat()))
    return sorted(pid for pid in pids if _parent_process(pid) not in pids)


def _acquire(descriptor: int, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, 0.02
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(1.0, 1.5 * pause)


def _lock_processes(lock: os.stat_result) -> Iterator[int]:
    """The ids of this user's processes that hold the lock file open and locked, from proc(5)."""
    for entry in Path("/proc").glob("[0-9]*/fdinfo/*"):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            process, number = entry.parents[1], entry.name
            if os.path.samestat((process / "fd" / number).stat(), lock) and "FLOCK" in entry.read_text():
                yield int(process.name)


def _parent_process(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
