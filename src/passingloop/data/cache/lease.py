"""Of many processes, on whatever nodes, one builds what all of them need; the others wait for it.

The one that builds holds a lease: a file beside the thing, which it changes every other second.

    <name>.lease-<n>          who builds it; made with O_EXCL, so of all that want to be the n-th one is
    <name>.building-<token>   what it has built so far; renamed to <name> when it is whole

A holder that does not change its lease any more, by the clock of those who look, is followed by an (n+1)-th. On the
holder's own machine nobody waits for that: it has locked its lease, and the kernel frees the lock when it dies. flock
alone would not do, because on many network file systems it is known to one machine only.

A holder that was not dead, but stopped, does no harm when it goes on: what it builds is its own until the rename, and
whoever comes second finds the thing there. A lease saves work; it is not what keeps the result right.
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
"""A file that was there a moment ago; the second is how NFS says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """All in seconds."""

    beat: float = 2.0
    """A holder changes its lease so often."""
    patience: float = 20.0
    """One that has not for so long is followed by another."""
    look: float = 1.0
    """Those that wait look so often."""
    repeat: float = 300.0
    """And say so often whom they wait for."""


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
    """Within it nobody else builds `path`, or it is done: look again whether it is there, and build it if not.

    Yields where to build it, a path beside it that nobody else has: rename that to `path` when it is whole. What is
    left there at the end is removed.

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
