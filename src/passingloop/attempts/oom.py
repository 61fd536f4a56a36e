"""Whether a process was killed because memory ran out: the kernel counts such kills, and Slurm reports them."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

VMSTAT = Path("/proc/vmstat")

WINDOW = 2.0
"""Seconds. The kernel's counter is for all that runs on the machine, so only what it has lately counted is ours."""

KILL_MESSAGE = re.compile(rb"oom[-_]kill|Out Of Memory|xceeded (?:job|step) memory limit")
"""slurmstepd: ``Detected 1 oom_kill event in StepId=…``; srun: ``task 0: Out Of Memory``; with OverMemoryKill:
``Exceeded job memory limit``."""


class OomWatch:
    """Watches the kernel's counter while an attempt's processes run here, and what srun writes to our stderr.

    /proc/vmstat counts what the OOM killer kills, for a cgroup's limit as for the machine's (Linux 4.13). A step's own
    counter, in its cgroup, is gone with the step. Of other nodes only srun tells.
    """

    def __init__(self) -> None:
        self._stderr_before = stderr_size()
        self._samples = [(time.monotonic(), _killed())]

    def sample(self) -> None:
        """Read the counter; to be called several times a second."""
        if time.monotonic() - self._samples[-1][0] > WINDOW:
            self._samples = [self._samples[-1], (time.monotonic(), _killed())]

    def has_killed(self) -> bool:
        """Whether a process has been killed in the last seconds because memory ran out."""
        return _killed() > self._samples[0][1] or bool(KILL_MESSAGE.search(stderr_after(self._stderr_before)))


def _killed() -> int:
    """How many processes the OOM killer has killed since the machine started; 0 where the kernel does not tell."""
    count = re.search(r"^oom_kill (\d+)", VMSTAT.read_text(), re.MULTILINE)
    return int(count[1]) if count else 0


def stderr_size() -> int:
    """How much has been written to our stderr, in bytes; 0 if it is no file."""
    with suppress(OSError):
        return os.fstat(2).st_size
    return 0


def stderr_after(size: int) -> bytes:
    """What has been written to our stderr, if that is a file, as it is in a batch job."""
    if stderr_size() <= size:
        return b""
    with Path("/proc/self/fd/2").open("rb") as file:
        file.seek(size)
        return file.read()
