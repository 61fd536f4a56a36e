"""While an attempt runs, it writes how far it has come: for `status`, and for its end if it is killed."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path

from passingloop.data.cache.last_use import UsageRecorder
from passingloop.rundir.directory import RunDir
from passingloop.rundir.fence import Fence
from passingloop.train.checkpoints.saver import Saver
from passingloop.train.meters.clock import Clock
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse

log = logging.getLogger("passingloop")

PERIOD = 1.0
"""Seconds between two writes."""


class Heartbeat:
    """Keeps ``pulse.json`` of attempt `number`, and the folders of its `data` from being pruned.

    Args:
        fence: a superseded attempt writes nothing.
        grace_seconds: between Slurm's asking a job to stop and its killing it, where that is known.
    """

    def __init__(
        self,
        run: RunDir,
        number: int,
        clock: Clock,
        data: Collection[Path],
        fence: Fence,
        grace_seconds: float | None = None,
    ) -> None:
        self._run, self._number, self._clock, self._in_use = run, number, clock, UsageRecorder(set(data))
        self._written = 0.0
        self._fence = fence
        self._grace = grace_seconds

    def beat(self, step: int, saver: Saver) -> None:
        """`step` steps are done. Called after every step; writes once a second."""
        now = time.monotonic()
        if now - self._written < PERIOD or self._fence.is_superseded():
            return
        self._written = now
        current = Pulse(attempt=self._number, step=step, saved_step=saver.saved_step, seconds=self._clock.seconds())
        pulse.write(self._run, current)
        self._in_use.beat()
        if self._grace is not None and saver.seconds > self._grace:
            log.warning(
                "A save takes %.0f s, but a job that is preempted here gets %.0f s, so its last one may be cut off. "
                "Set checkpoint.every_minutes to what you can afford to lose, or ask for a longer GraceTime.",
                saver.seconds,
                self._grace,
            )
            self._grace = None  # once is enough
