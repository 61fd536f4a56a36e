"""Where an attempt's time goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from passingloop.rundir.ledger import Seconds

RATE_STEPS = 20
"""The rate shown is that of so many last steps."""


class Clock:
    """Divides the time since `process_start` (seconds since the epoch) into starting, training and saving."""

    def __init__(self, process_start: float) -> None:
        self._start = time.perf_counter() - (time.time() - process_start)
        self._first_step: float | None = None
        self._saving = 0.0
        self._training_at_save = 0.0
        self._counted: deque[tuple[float, int]] = deque(maxlen=RATE_STEPS + 1)

    def begin_steps(self, count: int) -> None:
        """Starting is over; `rate` counts on from `count`."""
        self._first_step = time.perf_counter()
        self._counted.append((0.0, count))

    @property
    def training(self) -> float:
        """Seconds in steps and evaluations so far."""
        if self._first_step is None:
            return 0.0
        return time.perf_counter() - self._first_step - self._saving

    @property
    def unsaved(self) -> float:
        """Seconds of training since the last save."""
        return self.training - self._training_at_save

    def rate(self, count: int) -> float:
        """How much `count`, which is told after every step, has lately grown per second of training."""
        self._counted.append((self.training, count))
        (before, first), (now, last) = self._counted[0], self._counted[-1]
        return (last - first) / (now - before) if now > before else 0.0

    @contextmanager
    def saving(self) -> Iterator[None]:
        """What happens inside counts as saving; what was trained before it is kept."""
        self._training_at_save = self.training
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._saving += time.perf_counter() - begun

    def seconds(self, *, kept: bool) -> Seconds:
        """The division up to now. Unless everything is `kept`, training since the last save is lost."""
        now = time.perf_counter()
        return Seconds(
            starting=round((self._first_step or now) - self._start, 3),
            training=round(self.training, 3),
            saving=round(self._saving, 3),
            lost=0.0 if kept else round(self.unsaved, 3),
        )
