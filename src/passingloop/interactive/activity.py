"""Whether a job is in use: what its processes do on this node, measured between two looks.

Only changes count, never the time of day, so that a clock that jumps ends nobody's session.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passingloop.sampling.gpu_meter import GpuMeter
from passingloop.vitals.idleness import BUSY_SHARE

CPU_SHARE = 0.05
"""Of one CPU, over all processes of the job. An editor's server or Jupyter without a user takes 1 %."""

PSEUDO_TERMINALS = range(136, 144)
"""Major device numbers of /dev/pts; Documentation/admin-guide/devices.txt of Linux."""

TICKS = os.sysconf("SC_CLK_TCK")
"""Units of CPU time in /proc, per second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of the job."""

    parent: int
    terminal: str | None
    """The pseudo-terminal that it has, as /dev/pts/3."""
    cpu: float
    """Seconds that it has used, and its children that have ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is there at one moment."""

    at: float
    cpu: float
    typed: Mapping[str, float]
    """For each terminal when it was last read from."""
    gpu: int | None
    """Percent, of the busiest GPU; None if there is none, or it is not known for all of them."""
    noted: object = None
    """What else the keeper knows of; another value than before is use."""


def uses(before: Look, now: Look) -> list[str]:
    """What was in use from one look to the next: GPU, CPU, keyboard, notebook."""
    share = (now.cpu - before.cpu) / max(now.at - before.at, 0.001)
    typed = any(now.typed[terminal] != before.typed.get(terminal) for terminal in now.typed)
    found = {
        "GPU": now.gpu is not None and now.gpu >= 100 * BUSY_SHARE,
        "CPU": share >= CPU_SHARE,
        "keyboard": typed,
        "notebook": now.noted != before.noted,
    }
    return [what for what, used in found.items() if used]


@dataclass(slots=True)
class Observer:
    """Looks at the processes of one job, without the keeper's own."""

    job_id: str
    gpus: Sequence[str]
    """As CUDA_VISIBLE_DEVICES spells them."""
    _meter: GpuMeter | None = field(default=None, init=False)

    def look(self, noted: object = None) -> Look:
        """What is there now."""
        processes = job_processes(self.job_id)
        processes.pop(os.getpid(), None)
        return Look(
            at=time.monotonic(),
            cpu=sum(process.cpu for process in processes.values()),
            typed={name: read for name in _terminals(processes) if (read := _last_read(name)) is not None},
            gpu=self._gpu_percent(),
            noted=noted,
        )

    def _gpu_percent(self) -> int | None:
        """Since the last look, where the GPU counts it, else in the last second."""
        if self._meter is None:  # the driver may take seconds to start, for which the first terminal does not wait
            self._meter = GpuMeter(self.gpus)
        shares = [sample.busy for sample in self._meter.sample() if sample.busy is not None]
        return round(100 * max(shares)) if shares and len(shares) == len(self.gpus) else None

    def terminals(self) -> set[str]:
        """The terminals of the job."""
        return _terminals(job_processes(self.job_id))


def _terminals(processes: Mapping[int, Process]) -> set[str]:
    return {process.terminal for process in processes.values() if process.terminal}


def job_processes(job_id: str) -> dict[int, Process]:
    """This user's processes that belong to the job, by id: those with its number in their environment, and what they
    have started, whatever its environment is."""
    found = {number: process for number in _own_processes() if (process := _read_process(number))}
    mark = f"SLURM_JOB_ID={job_id}".encode()
    members = {number for number in found if mark in _environment(number)}
    grown = True
    while grown:
        children = {number for number, process in found.items() if process.parent in members} - members
        members |= children
        grown = bool(children)
    return {number: found[number] for number in members}


def _own_processes() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            try:
                if entry.name.isdecimal() and entry.stat().st_uid == os.getuid():
                    yield int(entry.name)
            except OSError:  # it has ended
                continue


def _environment(number: int) -> list[bytes]:
    try:
        return Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _read_process(number: int) -> Process | None:
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    parent, device, times = int(fields[1]), int(fields[4]), fields[11:15]
    return Process(parent=parent, terminal=terminal_of(device), cpu=sum(map(int, times)) / TICKS)


def terminal_of(device: int) -> str | None:
    """The pseudo-terminal with this device number; None for another kind of terminal, or none."""
    major, minor = os.major(device), os.minor(device)
    return f"/dev/pts/{(major - PSEUDO_TERMINALS.start) * 256 + minor}" if major in PSEUDO_TERMINALS else None


def _last_read(terminal: str) -> float | None:
    """When something was last read from the terminal. Output changes only the other times of the file."""
    try:
        return Path(terminal).stat().st_atime
    except OSError:
        return None
