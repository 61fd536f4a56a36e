"""The file of a lease: its content, how it is held, and how the files of a killed holder are removed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from passingloop.errors import DataError, MissingError, PassingloopError

SHARED_ERRORS: dict[str, type[PassingloopError]] = {"DataError": DataError, "MissingError": MissingError}
"""Errors of a builder that the waiting processes raise as well, since each would fail in the same way."""

ROOM = 1024
"""Bytes of every lease: the length is fixed, so that each change is a single write."""

ABANDONED_SECONDS = 24 * 3600.0
"""Seconds after which the files of a builder on another machine are removed. Before, it may be suspended only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """What the file says."""

    machine: str
    """The boot id of the kernel: host names are not unique."""
    host: str
    pid: int
    token: str
    since: str
    locked: bool
    """Whether its holder has locked it, where the file system has locks."""
    beats: int = 0
    failed: tuple[str, str] | None = None
    """The error that the holder has failed with, if it is one of `SHARED_ERRORS`: its name and its message."""

    @property
    def holder(self) -> str:
        return f"process {self.pid} on {self.host}"


class Held:
    """A lease of this process. A thread changes it until it is released."""

    @classmethod
    def take(cls, path: Path, number: int, beat: float) -> Held | None:
        """The `number`-th lease of `path`; None if another has it."""
        file = path.with_name(f"{path.name}.lease-{number}")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
        except FileExistsError:
            return None
        try:
            return cls(file, descriptor, beat)
        except BaseException:
            file.unlink()
            os.close(descriptor)
            raise

    def __init__(self, file: Path, descriptor: int, beat: float) -> None:
        self.file, self._descriptor, self._beat = file, descriptor, beat
        self.lease = Lease(
            machine=machine(),
            host=socket.gethostname(),
            pid=os.getpid(),
            token=secrets.token_hex(4),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            locked=_lock(descriptor, fcntl.LOCK_EX),
        )
        self._write()
        self._over = Event()
        self._thread = Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def release(self, failure: BaseException | None) -> None:
        """Give the lease up; after a failure of `SHARED_ERRORS` write the error into it for the waiting processes."""
        self._over.set()
        self._thread.join()
        name = next((name for name, kind in SHARED_ERRORS.items() if isinstance(failure, kind)), None)
        with suppress(OSError):  # the file system has failed: the lease ends as that of a killed process does
            if name:
                self.lease = replace(self.lease, failed=(name, str(failure)))
                self._write()
            elif os.path.samestat(os.fstat(self._descriptor), self.file.stat()):
                self.file.unlink()
        os.close(self._descriptor)

    def _renew(self) -> None:
        while not self._over.wait(self._beat):
            self.lease = replace(self.lease, beats=self.lease.beats + 1)
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        os.pwrite(self._descriptor, json.dumps(asdict(self.lease)).encode().ljust(ROOM), 0)
        os.fsync(self._descriptor)  # else NFS shows it to other nodes much later


def leases(path: Path) -> list[tuple[int, Path]]:
    """The leases of `path` that there are, with their numbers."""
    named = re.compile(re.escape(path.name) + r"\.lease-(\d+)")
    matches = (named.fullmatch(entry.name) for entry in path.parent.iterdir())
    return [(int(match[1]), path.with_name(match[0])) for match in matches if match]


def parse(content: bytes) -> Lease | None:
    """What a lease says; None while it is being written."""
    try:
        return Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None


def error_of(lease: Lease) -> PassingloopError:
    assert lease.failed
    name, message = lease.failed
    return SHARED_ERRORS.get(name, DataError)(f"{message} (found by {lease.holder})")


def has_died(file: Path, lease: Lease) -> bool:
    """Whether the holder is known to be dead, because it was on this machine and its lock is free."""
    if not lease.locked or lease.machine != machine():
        return False
    with file.open("rb") as opened:
        return _lock(opened.fileno(), fcntl.LOCK_SH)


def machine() -> str:
    """The running kernel (random(4)): containers on one machine, which share locks, have the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def build_path(path: Path, token: str) -> Path:
    """Where the holder with this token builds `path`."""
    return path.with_name(f"{path.name}.building-{token}")


def clean_up(path: Path, held: Held) -> None:
    """Remove what earlier builders of `path` have left, unless they may be alive."""
    now = held.file.stat().st_mtime  # by the clock of the file system, which has stamped the others, too
    for _, file in leases(path):
        if file != held.file:
            with suppress(FileNotFoundError):
                remove_abandoned(file, now)


def remove_abandoned(file: Path, now: float) -> None:
    """Remove a lease and what its holder has built, if that has failed, has died, or was not heard of for a day."""
    lease = parse(file.read_bytes())
    if now - file.stat().st_mtime > ABANDONED_SECONDS or (lease and (lease.failed or has_died(file, lease))):
        if lease:
            remove(build_path(file.with_suffix(""), lease.token))
        file.unlink()


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that can be done."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _lock(descriptor: int, kind: int) -> bool:
    """Lock an open file, unless another has locked it. False also where the file system has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
