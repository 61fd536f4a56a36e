"""The file of a lease: its content, holding it, and removing the files of holders that were killed."""

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
"""Errors of a builder that the waiting processes raise as well, because they would fail in the same way."""

FILE_BYTES = 1024
"""Bytes of a lease: the length is fixed, so that each change is a single write."""

ABANDONED_SECONDS = 24 * 3600.0
"""Seconds after which the files of a builder on another machine are removed. Until then it may be suspended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The content of the file."""

    machine: str
    """The boot id of the kernel: host names are not unique."""
    host: str
    pid: int
    token: str
    since: str
    locked: bool
    """Whether its holder has locked it; false on a file system without locks."""
    beats: int = 0
    failed: tuple[str, str] | None = None
    """The error with which the holder has failed, if it is one of `SHARED_ERRORS`: its name and message."""

    @property
    def holder(self) -> str:
        return f"process {self.pid} on {self.host}"


class OwnLease:
    """A lease that this process holds. A thread renews it until it is released."""

    @classmethod
    def take(cls, path: Path, number: int, renewal: float) -> OwnLease | None:
        """Take lease `number` of `path`; None if another process has it."""
        file = path.with_name(f"{path.name}.lease-{number}")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
        except FileExistsError:
            return None
        try:
            return cls(file, descriptor, renewal)
        except BaseException:
            file.unlink()
            os.close(descriptor)
            raise

    def __init__(self, file: Path, descriptor: int, renewal: float) -> None:
        self.file, self._descriptor, self._renewal = file, descriptor, renewal
        self.lease = Lease(
            machine=machine_id(),
            host=socket.gethostname(),
            pid=os.getpid(),
            token=secrets.token_hex(4),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            locked=_try_lock(descriptor, fcntl.LOCK_EX),
        )
        self._write()
        self._released = Event()
        self._thread = Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def release(self, failure: BaseException | None) -> None:
        """Release the lease. A failure of `SHARED_ERRORS` is written into it for the waiting processes."""
        self._released.set()
        self._thread.join()
        name = next((name for name, kind in SHARED_ERRORS.items() if isinstance(failure, kind)), None)
        with suppress(OSError):  # a failing file system: the lease then expires like that of a killed process
            if name:
                self.lease = replace(self.lease, failed=(name, str(failure)))
                self._write()
            elif os.path.samestat(os.fstat(self._descriptor), self.file.stat()):
                self.file.unlink()
        os.close(self._descriptor)

    def _renew(self) -> None:
        while not self._released.wait(self._renewal):
            self.lease = replace(self.lease, beats=self.lease.beats + 1)
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        os.pwrite(self._descriptor, json.dumps(asdict(self.lease)).encode().ljust(FILE_BYTES), 0)
        os.fsync(self._descriptor)  # otherwise NFS shows it to other nodes much later


def existing_leases(path: Path) -> list[tuple[int, Path]]:
    """The existing leases of `path`: their numbers and files."""
    pattern = re.compile(re.escape(path.name) + r"\.lease-(\d+)")
    matches = (pattern.fullmatch(entry.name) for entry in path.parent.iterdir())
    return [(int(match[1]), path.with_name(match[0])) for match in matches if match]


def parse_lease(content: bytes) -> Lease | None:
    """Parse the content of a lease; None if it is incomplete, because it is being written."""
    try:
        return Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None


def holder_error(lease: Lease) -> PassingloopError:
    """The error with which the holder has failed."""
    assert lease.failed
    name, message = lease.failed
    return SHARED_ERRORS.get(name, DataError)(f"{message} (found by {lease.holder})")


def is_holder_dead(file: Path, lease: Lease) -> bool:
    """Whether the holder is known to be dead: it was on this machine, and its lock is released."""
    if not lease.locked or lease.machine != machine_id():
        return False
    with file.open("rb") as stream:
        return _try_lock(stream.fileno(), fcntl.LOCK_SH)


def machine_id() -> str:
    """The boot id of the kernel, random(4). Containers on one machine have the same, and share locks."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def build_path(path: Path, token: str) -> Path:
    """The temporary path where the holder with this token builds `path`."""
    return path.with_name(f"{path.name}.building-{token}")


def remove_leftovers(path: Path, own_lease: OwnLease) -> None:
    """Remove the files of earlier builders of `path` that are dead or have failed."""
    now = own_lease.file.stat().st_mtime  # by the clock of the file system, as the times of the other files
    for _, file in existing_leases(path):
        if file != own_lease.file:
            with suppress(FileNotFoundError):
                remove_if_abandoned(file, now)


def remove_if_abandoned(file: Path, now: float) -> None:
    """Remove a lease and its unfinished entry, if the holder has failed, is dead, or has not renewed it for a day."""
    lease = parse_lease(file.read_bytes())
    if now - file.stat().st_mtime > ABANDONED_SECONDS or (lease and (lease.failed or is_holder_dead(file, lease))):
        if lease:
            remove_path(build_path(file.with_suffix(""), lease.token))
        file.unlink()


def remove_path(path: Path) -> None:
    """Remove a file or folder as far as permissions allow."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _try_lock(descriptor: int, kind: int) -> bool:
    """Lock an open file with flock; False if it is locked by another, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
