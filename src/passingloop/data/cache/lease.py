"""A lock with a heartbeat: one process builds what several processes, on any nodes, need; the others wait for it.

The builder holds a lease: a file beside the result, which it rewrites every two seconds.

    <name>.lease-<n>          who builds it; created with O_EXCL, so exactly one process gets number n
    <name>.building-<token>   what it has built so far; renamed to <name> when it is complete

When a lease has stopped changing, by the clock of a waiting process, that process takes lease n+1. On the holder's own
machine there is no such delay: the holder locks its lease with flock, and the kernel frees the lock when it dies. flock
alone is not enough: on many network file systems a lock is visible on one machine only.

A holder that was suspended and resumes does no harm: it builds in a path of its own until the rename, and the second
rename finds the result present. The lease saves work; correctness does not depend on it.
"""

from __future__ import annotations

import errno
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passingloop.data.cache.lease_file import (
    Held,
    Lease,
    build_path,
    clean_up,
    error_of,
    has_died,
    leases,
    parse,
    remove,
)
from passingloop.errors import ConfigError

GONE = (errno.ENOENT, errno.ESTALE)
"""Errors for a file that has just been removed; ESTALE is the one of NFS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """All in seconds."""

    beat: float = 2.0
    """Between two changes of a lease by its holder."""
    patience: float = 20.0
    """Without a change, after which the lease is taken over."""
    look: float = 1.0
    """Between two looks of a waiting process, at most."""
    repeat: float = 300.0
    """Between two messages that say which process is waited for."""


USUAL = Pace()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def exclusive_build(
    path: Path,
    *,
    done: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = _say,
    pace: Pace = USUAL,
) -> Iterator[Path]:
    """A context in which no other process builds `path`, or in which it is done: check again that it is missing.

    Yields where to build it: a path beside it that no other process uses. Rename that to `path` when it is complete.
    What is left there at the end is removed.

    Args:
        done: whether `path` is there; those that wait ask now and then.
        notice: is told whom this process waits for.

    Raises:
        ConfigError: the folder cannot be written to.
        DataError, MissingError: what the process has failed with that this one waited for.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _acquire(path, done, notice, pace)
    except OSError as error:
        raise ConfigError(
            f"Nothing can be written to cache_root: {error}. Make room in {path.parent}, or set another cache_root."
        ) from error
    beside, failure = build_path(path, held.lease.token if held else secrets.token_hex(4)), None
    try:
        yield beside
    except BaseException as error:
        failure = error
        raise
    finally:
        remove(beside)
        if held:
            held.release(failure)


def _acquire(path: Path, done: Callable[[], bool], notice: Callable[[str], None], pace: Pace) -> Held | None:
    """Wait for the lease, then take it; None if `path` was done before."""
    watch, pause = _Watch(pace, notice), 0.02
    while not done():
        number, file = max(leases(path), default=(0, None))
        if file is None or watch.is_free(file):
            held = Held.take(path, number + 1, pace.beat)
            if held:
                clean_up(path, held)
                return held
        time.sleep(pause)
        pause = min(pace.look, 1.5 * pause)
    return None


class _Watch:
    """Looks at the newest lease, and judges whether it is still in force."""

    def __init__(self, pace: Pace, notice: Callable[[str], None]) -> None:
        self._pace, self._notice = pace, notice
        self._seen: tuple[Path, bytes] | None = None
        self._quiet, self._looked = 0.0, time.monotonic()
        self._reported: dict[str, float] = {}
        """The tokens of the holders that were waited for, and when that was last said."""

    def is_free(self, file: Path) -> bool:
        """Whether the next lease may be taken.

        Raises:
            DataError, MissingError: what the holder has failed with while it was waited for.
        """
        try:
            content = file.read_bytes()
            lease = parse(content)
            if lease and lease.failed:
                if lease.token in self._reported:
                    raise error_of(lease)
                return True
            if self._unchanged_seconds(file, content) >= self._pace.patience or (lease and has_died(file, lease)):
                return True
        except OSError as error:
            if error.errno in GONE:
                return False
            raise
        if lease:
            self._report_wait(lease)
        return False

    def _unchanged_seconds(self, file: Path, content: bytes) -> float:
        """Seconds for which the lease has been the same. This process may be stopped, too: then its time stands."""
        now = time.monotonic()
        passed = min(now - self._looked, 2 * self._pace.look)
        self._quiet = self._quiet + passed if self._seen == (file, content) else 0.0
        self._seen, self._looked = (file, content), now
        return self._quiet

    def _report_wait(self, lease: Lease) -> None:
        now = time.monotonic()
        if now - self._reported.get(lease.token, -self._pace.repeat) >= self._pace.repeat:
            self._reported[lease.token] = now
            self._notice(f"Waiting for the data that {lease.holder} has been preparing since {lease.since}")
