"""Whether the processes of an attempt go forward; if not, their stacks are written, and they are to be killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from passingloop.rundir.directory import RunDir
from passingloop.text import say
from passingloop.vitals import beats
from passingloop.vitals.beats import Beat
from passingloop.vitals.standstill import Standstill, StillClock

SILENT_PERIODS = 5
"""Beats that a process misses until it counts as silent."""

SILENT_SECONDS = 3.0
"""The least for that: a busy machine delays a thread."""

STACKS_PATIENCE = 3
"""Periods in which the processes write their stacks, once they are asked to."""

STACKS_SECONDS = 5.0
"""The least for that."""


class HangWatch:
    """Watches the beats of an attempt's processes while they run.

    Args:
        size: how many processes there are.
        minutes: without any progress, after which they are hung; 0 watches nothing.
        end: called once they are hung, with how they stand: writes the end of the attempt, and kills them.
    """

    def __init__(self, run: RunDir, attempt: int, size: int, minutes: float, end: Callable[[Standstill], None]) -> None:
        self._run, self._attempt, self._size, self._stuck, self._end = run, attempt, size, 60 * minutes, end
        self._period = beats.period(self._stuck)
        self._next = 0.0
        self._still = StillClock(2 * self._period)
        self._silent: dict[int, StillClock] = {}
        self._asked: float | None = None
        self.standstill: Standstill | None = None
        """How they stood when they were found to be hung."""
        if minutes:
            beats.prepare_request(run, attempt)

    def sample(self) -> None:
        """Look, if it is time to; to be called several times a second."""
        now = time.monotonic()
        if not self._stuck or self.standstill or now < self._next:
            return
        self._next = now + self._period
        found = self._read(now)
        if not found:  # no process has begun, which others watch
            return
        still = self._still.look(now, tuple((rank, beat.signs) for rank, beat in sorted(found.items())))
        if still < self._stuck:
            self._asked = None
            return
        standstill = Standstill(
            size=self._size,
            seconds=still,
            beats=found,
            silent=[rank for rank, clock in sorted(self._silent.items()) if clock.seconds > self._silence],
            states={
                rank: _process_state(beat.process) for rank, beat in found.items() if beat.node == beats.own_node()
            },
        )
        if self._asked is None:
            self._asked = now
            say(f"error: {standstill.sentence} Its processes are asked for their stacks, and then ended.")
            beats.request_stacks(self._run, self._attempt, standstill.sentence)
        elif self._has_stacks(standstill) or now - self._asked > self._stacks_patience:
            self.standstill = standstill
            self._end(standstill)

    def close(self) -> None:
        """Remove the beats: the processes have ended."""
        beats.remove(self._run, self._attempt)

    @property
    def _silence(self) -> float:
        return max(SILENT_SECONDS, SILENT_PERIODS * self._period)

    @property
    def _stacks_patience(self) -> float:
        return max(STACKS_SECONDS, STACKS_PATIENCE * self._period)

    def _read(self, now: float) -> dict[int, Beat]:
        """The beats of the processes that have begun."""
        found = {}
        for rank in range(self._size):
            if beat := beats.read(self._run, self._attempt, rank):
                found[rank] = beat
                self._silent.setdefault(rank, StillClock(2 * self._period)).look(now, beat.count)
        return found

    def _has_stacks(self, standstill: Standstill) -> bool:
        """Whether all have written their stacks that can be asked for them."""
        return all(beat.stacks for rank, beat in standstill.beats.items() if rank not in standstill.silent)


def _process_state(process: int) -> str:
    """The state of a process of this machine by proc(5), such as ``T``; empty if it is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]
