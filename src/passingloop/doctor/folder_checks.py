"""Whether the folders of runs and of the cache do what runs rely on: locks, renames, room, clocks, access."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.doctor.finding import Finding
from passingloop.doctor.preemption_checks import SaveMeasure
from passingloop.text import size_text

LOCAL_KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "overlay", "devtmpfs")
"""File systems that other machines cannot see, unless they are exported."""

LITTLE_BYTES, FEW_BYTES = 1 << 30, 10 << 30
"""Where no checkpoint has been measured: less than the first is a problem, less than the second a warning."""

FEW_FILES = 10_000
"""Free inodes. A checkpoint has about ten files, prepared data some dozens."""

SLOW_SYNC = 2.0
"""Seconds for writing 4 kB to the disk; every save waits several times as long."""

CLOCK_TOLERANCE = 5.0
"""Seconds. The times of files decide which prepared data are in use, and which source files have changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderEvidence:
    """A folder, or its nearest ancestor that exists, as one machine sees it."""

    path: str
    probed: str
    """The folder that was looked at: `path`, or an ancestor while `path` does not exist."""
    error: str = ""
    """Why nothing can be written there; empty if files could be written."""
    foreign: bool = False
    """Whether it belongs to neither the user nor root."""
    mode: int = 0o700
    """Its permissions; of an ancestor, those of that one."""
    kind: str = ""
    """The file system's type, as in /proc/mounts."""
    options: tuple[str, ...] = ()
    """Its mount options."""
    lock_error: str = ""
    """Why flock(2) failed, or that a second lock was granted; empty if locks work on this machine."""
    rename_error: str = ""
    """What went wrong when a file replaced another one; empty if nothing did."""
    sync_seconds: float = 0.0
    """For writing 4 kB durably."""
    clock_offset: float = 0.0
    """Seconds by which the times that the file server gives to files are ahead of this machine's clock."""
    free_bytes: int | None = None
    free_files: int | None = None
    """None if the file system has no limit of its own."""


def folder_findings(seen: FolderEvidence, setting: str, save: SaveMeasure | None, keep: int) -> Iterator[Finding]:
    """All findings about a folder, seen from one machine.

    Args:
        setting: which one it is: ``run_root`` or ``cache_root``.
        save: the user's largest measured save; None if there is none.
        keep: checkpoints that a run keeps.
    """
    yield from access(seen, setting)
    if seen.error:
        return
    yield from file_locks(seen, setting)
    yield from renames(seen, setting)
    yield from space(seen, setting, save if setting == "run_root" else None, keep)
    yield from file_clock(seen, setting)


def access(seen: FolderEvidence, setting: str) -> Iterator[Finding]:
    """Whether the user can write there, and others cannot take it away."""
    evidence = f"{seen.probed}, mode {seen.mode:04o}"
    if seen.error:
        what = f"{setting}={seen.path} cannot be used: {seen.error}."
        yield Finding(setting, "problem", what, evidence, f"Set {setting} to a folder that you may write to.")
        return
    if seen.mode & stat.S_IWOTH and not seen.mode & stat.S_ISVTX and seen.probed == seen.path:
        what = f"Everybody may write in {setting}={seen.path}, and so rename or remove your folders there."
        remedy = f"chmod o-w {seen.path}, or chmod +t for a folder that several users share."
        yield Finding(setting, "warning", what, evidence, remedy)
    elif seen.foreign and seen.probed == seen.path and not seen.mode & stat.S_ISVTX:
        what = f"{setting}={seen.path} belongs to another user, who may remove what you write there."
        yield Finding(setting, "warning", what, evidence, f"Set {setting} to a folder of your own, or of your group.")
    else:
        note = "" if seen.probed == seen.path else " once it is made"
        yield Finding(setting, "ok", f"{setting}={seen.path} can be written{note}.", evidence)


def file_locks(seen: FolderEvidence, setting: str) -> Iterator[Finding]:
    """Whether locks keep two attempts at a run apart, on one machine and on several."""
    mount = (
        f"{seen.probed} is {seen.kind or 'of an unknown kind'}, mounted with {','.join(seen.options) or 'no options'}"
    )
    remedy = (
        f"Set {setting} to a file system with locks for all nodes: NFS without nolock and local_lock, Lustre with "
        "-o flock, GPFS, BeeGFS with tuneUseGlobalFileLocks."
    )
    if seen.lock_error:
        what = f"File locks do not work in {setting}: {seen.lock_error}. A run refuses to start there."
        yield Finding("locks", "problem", what, mount, remedy)
    elif blind := _local_lock_option(seen):
        what = f"Locks in {setting} are not seen by other nodes ({blind}), so two jobs could train one run at a time."
        yield Finding("locks", "problem", what, mount, remedy)
    else:
        yield Finding("locks", "ok", f"File locks work in {setting}, on this machine.", mount)
    if "soft" in seen.options and seen.kind.startswith("nfs"):
        what = f"{setting} is a soft NFS mount: a busy server makes writes fail, and checkpoints with them."
        yield Finding("mount", "warning", what, mount, "Ask the administrators for a hard mount: nfs(5), soft / hard.")


def _local_lock_option(seen: FolderEvidence) -> str:
    """The mount option by which locks stay on one machine; empty if there is none."""
    if seen.kind.startswith("nfs"):
        return next((name for name in seen.options if name in ("nolock", "local_lock=all", "local_lock=flock")), "")
    if seen.kind == "lustre":
        return "" if "flock" in seen.options else "mounted without flock"
    return ""


def renames(seen: FolderEvidence, setting: str) -> Iterator[Finding]:
    """Whether files are replaced in one step, and how long a durable write takes."""
    if seen.rename_error:
        what = f"A file cannot be replaced by a renamed one in {setting}: {seen.rename_error}. Nothing could be saved."
        remedy = f"Set {setting} to a file system of a node or a file server, not to a bucket that is mounted."
        yield Finding("rename", "problem", what, f"{seen.probed} is {seen.kind}", remedy)
    elif seen.sync_seconds > SLOW_SYNC:
        what = (
            f"Writing a small file durably takes {seen.sync_seconds:.1f} s in {setting}; each save waits for several."
        )
        remedy = f"Set {setting} to a faster file system, or a larger checkpoint.every_minutes."
        yield Finding("rename", "warning", what, f"4 kB with fsync in {seen.probed}", remedy)
    else:
        evidence = f"4 kB with fsync and rename in {seen.probed}: {1000 * seen.sync_seconds:.0f} ms"
        yield Finding("rename", "ok", f"Files are replaced in one step in {setting}.", evidence)


def space(seen: FolderEvidence, setting: str, save: SaveMeasure | None, keep: int) -> Iterator[Finding]:
    """Whether there is room for checkpoints. A quota that the file system does not show is not seen."""
    if seen.free_bytes is None:
        yield Finding(
            "space", "unknown", f"How much room {setting} has is not known.", f"statvfs of {seen.probed} failed"
        )
        return
    need, many = ((keep + 1) * save.bytes, 3 * (keep + 1) * save.bytes) if save else (LITTLE_BYTES, FEW_BYTES)
    measured = f"; {keep + 1} checkpoints of {save.run} take {size_text(need)}" if save else ""
    evidence = f"{size_text(seen.free_bytes)} free in {seen.probed}{measured}"
    remedy = f"Make room in {setting}, set checkpoint.keep lower, or set {setting} to another file system."
    if seen.free_bytes < need:
        yield Finding("space", "problem", f"{setting} has no room for the checkpoints of a run.", evidence, remedy)
    elif seen.free_bytes < many:
        yield Finding("space", "warning", f"{setting} has little room left.", evidence, remedy)
    elif seen.free_files is not None and seen.free_files < FEW_FILES:
        what = f"{setting} has room for {seen.free_files:,} more files only."
        yield Finding("space", "warning", what, f"free inodes of {seen.probed}", remedy)
    else:
        yield Finding("space", "ok", f"{setting} has room.", evidence)


def file_clock(seen: FolderEvidence, setting: str, machine: str = "this machine") -> Iterator[Finding]:
    """Whether the file server's clock is that of the machine."""
    offset = seen.clock_offset
    evidence = f"a new file in {seen.probed} is dated {abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) > CLOCK_TOLERANCE:
        what = f"The file server of {setting} has another time than {machine}."
        remedy = "Tell the administrators: both need NTP. Until then prepared data may be taken for unused."
        yield Finding("clock", "warning", what, evidence, remedy)
    else:
        yield Finding("clock", "ok", f"The times of files in {setting} agree with the clock of {machine}.", evidence)
