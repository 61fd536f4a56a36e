"""What the control group of a Slurm step has used of CPUs, memory and storage: cgroup v1 and v2.

Where the group is stands in /proc/self/cgroup. Its path ends in the same way with all versions of Slurm:

    v1           /slurm/uid_1000/job_12/step_0/task_0
    v2           /system.slice/slurmstepd.scope/job_12/step_0/user/task_0
    v2, 26.05    /system.slice/slurmstepd.scope/sEKNKTV3WPV500/step_0/user/task_0

What the folder of the job is called is therefore of no importance. The step is measured, not the job: where several
runs share a job, each is a step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PROC = Path("/proc/self")
"""The folder of this process."""

STEP = re.compile(r"(/.+/step_[^/]+)(?:/.*)?")

UNIFIED = ""
"""The name, among those of the controllers of v1, of the only hierarchy of v2."""

UNLIMITED = 2**60
"""v1 writes a number of about 2⁶³ where there is no limit; v2 the word max."""

Value = TypeVar("Value", int, str)


@dataclass(frozen=True, slots=True)
class StepGroup:
    """The folders of a step's control group, by controller; that of v2 has the name `UNIFIED`."""

    folders: Mapping[str, Path]

    @classmethod
    def of_process(cls, proc: Path) -> StepGroup | None:
        """That of the process whose folder `proc` is; None if it is in no step's group, or that cannot be seen."""
        try:
            groups = (proc / "cgroup").read_text().splitlines()
            mounts = list(_mounts((proc / "mountinfo").read_text()))
        except OSError:
            return None
        folders = {}
        for line in groups:
            _, controllers, path = line.split(":", 2)
            found = STEP.fullmatch(path)
            for name in controllers.split(",") if found else ():
                if found and (folder := _folder(mounts, name, found[1])):
                    folders[name] = folder
        return cls(folders) if folders else None

    def cpu_seconds(self) -> float | None:
        """CPU time so far."""
        if (nanoseconds := self._number("cpuacct", "cpuacct.usage")) is not None:
            return nanoseconds / 1e9
        microseconds = self._fields(UNIFIED, "cpu.stat").get("usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def memory(self) -> int | None:
        """Bytes in use, without the page cache, which the kernel gives up when memory is short."""
        for controller, file, prefix in (
            ("memory", "memory.usage_in_bytes", "total_"),
            (UNIFIED, "memory.current", ""),
        ):
            used = self._number(controller, file)
            if used is not None:
                stat = self._fields(controller, "memory.stat")
                return max(0, used - stat.get(f"{prefix}active_file", 0) - stat.get(f"{prefix}inactive_file", 0))
        return None

    def memory_limit(self) -> int | None:
        """The smallest limit in bytes of the step's group and those above it; None if there is none."""
        limits = []
        for controller, file in (("memory", "memory.limit_in_bytes"), (UNIFIED, "memory.max")):
            if folder := self.folders.get(controller):
                limits += [
                    limit for above in (folder, *folder.parents) if (limit := _read(above / file, int)) is not None
                ]
        return min((limit for limit in limits if limit < UNLIMITED), default=None)

    def transferred(self) -> tuple[int, int] | None:
        """Bytes read from block devices and written to them so far; None where that is not counted."""
        if folder := self.folders.get("blkio"):
            text = _read(folder / "blkio.throttle.io_service_bytes_recursive", str) or ""
            pairs = re.findall(r"^\d+:\d+ (Read|Write) (\d+)$", text, re.MULTILINE)
            names = ("Read", "Write")
        else:
            text = _read(self.folders[UNIFIED] / "io.stat", str) or "" if UNIFIED in self.folders else ""
            pairs = re.findall(r"\b(rbytes|wbytes)=(\d+)", text)
            names = ("rbytes", "wbytes")
        if not pairs:
            return None
        read, written = (sum(int(count) for name, count in pairs if name == wanted) for wanted in names)
        return read, written

    def processes(self) -> set[int]:
        """The ids of the processes in the group and those below it."""
        folder = next(iter(self.folders.values()))
        lists = (_read(path, str) for path in folder.rglob("cgroup.procs"))
        return {int(number) for text in lists if text for number in text.split()}

    def _number(self, controller: str, file: str) -> int | None:
        folder = self.folders.get(controller)
        return None if folder is None else _read(folder / file, int)

    def _fields(self, controller: str, file: str) -> dict[str, int]:
        """Lines of a name and a number."""
        folder = self.folders.get(controller)
        text = None if folder is None else _read(folder / file, str)
        pairs = [line.split() for line in (text or "").splitlines()]
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _mounts(mountinfo: str) -> Iterator[tuple[set[str], str, str]]:
    """Of each mounted hierarchy its controllers, what of it is mounted, and where: proc_pid_mountinfo(5)."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield {UNIFIED} if kind == "cgroup2" else set(options.split(",")), fields[3], _unescaped(fields[4])


def _folder(mounts: list[tuple[set[str], str, str]], controller: str, path: str) -> Path | None:
    for controllers, root, point in mounts:
        if controller in controllers and path.startswith(root.rstrip("/") + "/"):
            folder = Path(point) / path[len(root.rstrip("/")) :].lstrip("/")
            if folder.is_dir():
                return folder
    return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)


def _read(path: Path, kind: Callable[[str], Value]) -> Value | None:
    """The content of a file, as `kind`; None if there is no such file, or it says something else."""
    with suppress(OSError, ValueError):
        return kind(path.read_text().strip())
    return None
