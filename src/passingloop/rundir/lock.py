"""One run, one trainer: a lock that lives as long as any process of the run, and no longer."""

from __future__ import annotations

import fcntl
import os
import socket

from passingloop.errors import RunBusy, RunError
from passingloop.rundir.layout import RunDir
from passingloop.rundir.record import now


def hold(run: RunDir) -> int:
    """Lock the run for this process and those it starts with the returned descriptor.

    flock(2) belongs to the open file: it goes when the last process that has the descriptor is gone, however it
    ended, so no stale lock stays behind. On NFS Linux turns it into a lock on the server that other nodes see.

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
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        raise RunBusy(
            f"{run.path} is being trained already, by {holder or 'a process that has only just started'}. Nothing was "
            "started. Wait for it, or set rerun=true to train the same again beside it."
        ) from None
    except OSError as error:
        raise RunError(
            f"{run.path} cannot be locked ({error.strerror}), so nothing would keep two trainings apart. Put run_root "
            "on a file system with locks; Lustre has them when it is mounted with -o flock."
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode(), 0)
    return descriptor
