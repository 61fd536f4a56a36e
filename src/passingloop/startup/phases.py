"""Where the time of a start goes, from the command to the end of the first step: what `timing=true` prints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from passingloop.handoff import Handoff
from passingloop.track.speed import Speed

FROM_BOOT = 19
"""The place of `starttime` among the fields of /proc/PID/stat that follow the name: ticks since boot; proc(5)."""


class Display(Protocol):
    """What is told of each step: `passingloop.track.progress.ProgressDisplay`."""

    def update(self, step: int, loss: float, speed: Speed) -> None: ...


class Phases:
    """The phases of the start of a training process, each from its beginning to that of the next.

    Args:
        process_start: when the first line of this process ran, in seconds since the epoch. The interpreter has started
            before that, and with `launcher=shell` the command.
    """

    def __init__(self, process_start: float, handoff: Handoff) -> None:
        self.process_start = process_start
        started = process_age(os.getpid())
        own = process_start if started is None else time.time() - started
        self._begun: list[tuple[str, float]] = [("the interpreter", own), ("signals, settings", process_start)]
        if handoff.launcher_process is not None and (age := process_age(handoff.launcher_process)) is not None:
            self._begun.insert(0, ("the command", time.time() - age))

    def begin(self, name: str) -> None:
        """A phase begins, and the one before it ends."""
        self._begun.append((name, time.time()))

    def lines(self) -> list[str]:
        """A line for each phase up to now, and their sum."""
        ends = [begun for _, begun in self._begun[1:]] + [time.time()]
        seconds = [(name, end - begun) for (name, begun), end in zip(self._begun, ends, strict=True)]
        seconds.append(("in all, to the end of the first step", ends[-1] - self._begun[0][1]))
        return [f"timing {took:7.2f} s  {name}" for name, took in seconds]


class FirstStep:
    """Hands what it is told of each step on to `display`, and calls `done` after the first."""

    def __init__(self, display: Display, done: Callable[[], None]) -> None:
        self._display = display
        self._done: Callable[[], None] | None = done

    def update(self, step: int, loss: float, speed: Speed) -> None:
        """As the display's."""
        self._display.update(step, loss, speed)
        if self._done:
            self._done()
            self._done = None


def process_age(process: int) -> float | None:
    """Seconds since `process` was started; None if that cannot be told here."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[FROM_BOOT]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return None
