"""What a run uses of a node's CPUs, memory and storage: by its step's control group, else by its processes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.sampling.cgroup import PROC, StepGroup

LISTING = 30.0
"""Seconds after which the processes are listed anew where no control group lists them: all of /proc is read for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostUse:
    """What is used on average since the last time, and the memory now. None is what nobody counts."""

    cpus: float | None
    memory: int | None
    """Bytes, without the page cache."""
    read: float | None
    """Bytes per second."""
    written: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counts:
    """What has been used so far, in seconds of CPU time and bytes."""

    cpu: float | None = None
    read: int | None = None
    written: int | None = None


class HostMeter:
    """Measures what the step that this process is in uses; outside of Slurm's control groups, what the children of the
    process `root` use, and theirs.

    Processes that end between two measurements are then missed, and memory that processes share is not counted.

    Args:
        proc: the folder in /proc of the process whose step is measured.
    """

    def __init__(self, root: int, proc: Path = PROC) -> None:
        self._group = StepGroup.of_process(proc)
        self._processes = _ProcessTree(root, self._group)
        self._at = time.monotonic()
        self._counts = self._count()

    def sample(self) -> HostUse:
        """What has been used since the last call."""
        before, self._counts = self._counts, self._count()
        began, self._at = self._at, time.monotonic()
        seconds = max(self._at - began, 0.001)
        memory = self._group.memory() if self._group else None
        return HostUse(
            cpus=_rate(before.cpu, self._counts.cpu, seconds),
            memory=self._processes.memory() if memory is None else memory,
            read=_rate(before.read, self._counts.read, seconds),
            written=_rate(before.written, self._counts.written, seconds),
        )

    def _count(self) -> _Counts:
        cpu = self._group.cpu_seconds() if self._group else None
        transferred = self._group.transferred() if self._group else None
        if cpu is None or transferred is None:
            self._processes.look()
        read, written = transferred or self._processes.transferred()
        return _Counts(cpu=self._processes.cpu_seconds() if cpu is None else cpu, read=read, written=written)

    def cpus(self, environ: Mapping[str, str]) -> int:
        """CPUs that may be used on this node."""
        return int(environ.get("SLURM_CPUS_ON_NODE", 0)) or len(os.sched_getaffinity(0))

    def memory_limit(self, environ: Mapping[str, str]) -> int:
        """Bytes of memory that may be used on this node: what the control group allows, else what the job asked for,
        else all."""
        limit = self._group.memory_limit() if self._group else None
        if limit is not None:
            return limit
        for variable, count in (("SLURM_MEM_PER_NODE", 1), ("SLURM_MEM_PER_CPU", self.cpus(environ))):
            if megabytes := int(environ.get(variable, 0)):
                return megabytes * count * 2**20
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(slots=True)
class _Process:
    """What one process has used when it was last looked at."""

    process: Any
    cpu: float
    read: int | None
    written: int | None


class _ProcessTree:
    """The processes of a group, or below a process, and what those that were seen have used together.

    The counts only grow, also when a process ends. Of one that is older than the look before, only what it uses from
    now on is counted.
    """

    def __init__(self, root: int, group: StepGroup | None) -> None:
        self._root, self._group = root, group
        self._seen: dict[int, _Process] = {}
        self._numbers: set[int] = set()
        self._listed: float | None = None
        self._looked: float | None = None
        self._cpu: float | None = None
        self._transferred: tuple[int, int] | None = None

    def cpu_seconds(self) -> float | None:
        """CPU time; None if no process was seen."""
        return self._cpu

    def transferred(self) -> tuple[int, int] | tuple[None, None]:
        """Bytes read and written; None if no process tells."""
        return self._transferred or (None, None)

    def memory(self) -> int | None:
        """Bytes that belong to one process alone, summed over those that are there."""
        import psutil

        found = []
        for number in self._list():
            with suppress(psutil.Error):
                memory = psutil.Process(number).memory_info()
                if memory.rss:  # else it has ended, and its parent has not seen it
                    found.append(memory.rss - memory.shared)
        return sum(found) if found else None

    def look(self) -> None:
        """Count what the processes have used since the last look."""
        import psutil

        since, self._looked = self._looked, time.time()
        seen = {}
        for number in self._list():
            with suppress(psutil.Error):
                process = self._seen[number].process if number in self._seen else psutil.Process(number)
                seen[number] = self._read(process)
                self._add(self._seen.get(number), seen[number], since)
        self._seen = seen

    def _read(self, process: Any) -> _Process:
        import psutil

        with process.oneshot():
            times = process.cpu_times()
            read = written = None
            with suppress(psutil.AccessDenied):
                counters = process.io_counters()
                read, written = counters.read_bytes, counters.write_bytes
        return _Process(process, times.user + times.system, read, written)

    def _add(self, before: _Process | None, now: _Process, since: float | None) -> None:
        if before is None:
            is_old = since is None or now.process.create_time() < since
            before = now if is_old else _Process(now.process, 0.0, 0, 0)
        self._cpu = (self._cpu or 0.0) + max(0.0, now.cpu - before.cpu)
        if now.read is not None and now.written is not None:
            read, written = self._transferred or (0, 0)
            self._transferred = (
                read + max(0, now.read - (before.read or 0)),
                written + max(0, now.written - (before.written or 0)),
            )

    def _list(self) -> set[int]:
        """The ids of the processes, without our own."""
        import psutil

        if self._group:
            return self._group.processes() - {os.getpid()}
        now = time.monotonic()
        if self._listed is None or now - self._listed >= LISTING:
            self._listed = now
            with suppress(psutil.Error):
                children = psutil.Process(self._root).children(recursive=True)
                self._numbers = {child.pid for child in children} - {os.getpid()}
        return self._numbers


def _rate(before: float | None, now: float | None, seconds: float) -> float | None:
    return None if before is None or now is None else max(0.0, now - before) / seconds
