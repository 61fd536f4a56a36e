"""A lock with a heartbeat, for processes on any nodes: one of them builds a cache entry, and the others wait for it.

The builder holds a lease, a file beside the entry that it rewrites every two seconds.

    <name>.lease-<n>          the holder; created with O_EXCL, so that exactly one process gets number n
    <name>.building-<token>   the unfinished entry; renamed to <name> when it is complete

If a waiting process sees no change of the lease for `Pace.patience`, it takes lease n+1. On the holder's machine it
need not wait that long: the holder also locks its lease with flock, and the kernel releases the lock when the holder
dies. flock alone does not suffice, because on many network file systems a lock is visible on one machine only.

A holder that was suspended and resumes after its lease was taken over builds in a path of its own, and finds the entry
present when it renames it. The lease avoids double work; correctness does not depend on it.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passingloop.data.cache.lease_file import (
    Lease,
    OwnLease,
    build_path,
    existing_leases,
    holder_error,
    is_holder_dead,
    parse_lease,
    remove_leftovers,
    remove_path,
)
from passingloop.errors import ConfigError
from passingloop.text import say
from passingloop.vitals.marks import MARKS

REMOVED_ERRNOS = (errno.ENOENT, errno.ESTALE)
"""Errors of a file that was removed meanwhile; ESTALE on NFS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Intervals in seconds."""

    renewal: float = 2.0
    """Between two changes of a lease by its holder."""
    patience: float = 20.0
    """Without a change, until the lease is taken over."""
    poll: float = 1.0
    """Between two reads of the lease by a waiting process, at most."""
    repeat: float = 300.0
    """Between two messages about the process that is waited for."""


DEFAULT_PACE = Pace()


@contextmanager
def exclusive_build(
    path: Path,
    *,
    done: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = say,
    pace: Pace = DEFAULT_PACE,
) -> Iterator[Path]:
    """A context in which no other process builds `path`. The caller checks again whether `path` exists by then.

    Yields a temporary path beside `path`, which no other process uses. The caller builds the entry there and renames it
    to `path`. What is left at the temporary path is removed when the context ends.

    Args:
        done: whether `path` exists; waiting ends when it does.
        notice: takes messages about the process that is waited for.

    Raises:
        ConfigError: the folder cannot be written to.
        DataError, MissingError: the error of another builder while this process waited for it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        own_lease = _acquire(path, done, notice, pace)
    except OSError as error:
        raise ConfigError(
            f"Nothing can be written to cache_root: {error}. Make room in {path.parent}, or set another cache_root."
        ) from error
    temporary, failure = build_path(path, own_lease.lease.token if own_lease else secrets.token_hex(4)), None
    try:
        yield temporary
    except BaseException as error:
        failure = error
        raise
    finally:
        remove_path(temporary)
        if own_lease:
            own_lease.release(failure)


def _acquire(path: Path, done: Callable[[], bool], notice: Callable[[str], None], pace: Pace) -> OwnLease | None:
    """Wait for the lease and take it; None if another process has built `path` meanwhile."""
    observer, pause = _LeaseObserver(pace, notice), 0.02
    while not done():
        number, file = max(existing_leases(path), default=(0, None))
        if file is None or observer.can_take_over(file):
            own_lease = OwnLease.take(path, number + 1, pace.renewal)
            if own_lease:
                remove_leftovers(path, own_lease)
                return own_lease
        time.sleep(pause)
        pause = min(pace.poll, 1.5 * pause)
    return None


class _LeaseObserver:
    """Observes the newest lease, and decides when it may be taken over."""

    def __init__(self, pace: Pace, notice: Callable[[str], None]) -> None:
        self._pace, self._notice = pace, notice
        self._last_content: tuple[Path, bytes] | None = None
        self._unchanged, self._last_time = 0.0, time.monotonic()
        self._report_times: dict[str, float] = {}
        """When the last message about a holder was given, by its token."""

    def can_take_over(self, file: Path) -> bool:
        """Whether the lease in `file` has ended, so that the next one may be taken.

        Raises:
            DataError, MissingError: the holder has failed with it while this process waited.
        """
        try:
            content = file.read_bytes()
            lease = parse_lease(content)
            if lease and lease.failed:
                if lease.token in self._report_times:
                    raise holder_error(lease)
                return True
            if self._unchanged_seconds(file, content) >= self._pace.patience or (lease and is_holder_dead(file, lease)):
                return True
        except OSError as error:
            if error.errno in REMOVED_ERRNOS:
                return False
            raise
        if lease:
            self._report_wait(lease)
        return False

    def _unchanged_seconds(self, file: Path, content: bytes) -> float:
        """Seconds for which the lease has not changed, without times in which this process itself was suspended."""
        now = time.monotonic()
        passed = min(now - self._last_time, 2 * self._pace.poll)
        self._unchanged = self._unchanged + passed if self._last_content == (file, content) else 0.0
        if self._last_content != (file, content):
            MARKS.sign()  # the holder builds, and so this process, which waits for it, is not hung
        self._last_content, self._last_time = (file, content), now
        return self._unchanged

    def _report_wait(self, lease: Lease) -> None:
        now = time.monotonic()
        if now - self._report_times.get(lease.token, -self._pace.repeat) >= self._pace.repeat:
            self._report_times[lease.token] = now
            self._notice(f"Waiting for the data that {lease.holder} has been preparing since {lease.since}")
