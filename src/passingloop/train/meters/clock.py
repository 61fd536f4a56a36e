"""How an attempt's time divides into queued, starting, training, saving and lost, and what parts of training took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from passingloop.rundir.events import Seconds

Item = TypeVar("Item")


class Clock:
    """Divides the time since `process_start` (seconds since the epoch) into starting, training and saving.

    Before that the attempt was `queued` for some seconds.
    """

    def __init__(self, process_start: float, queued: float = 0.0) -> None:
        self._queued = queued
        self._start = time.perf_counter() - (time.time() - process_start)
        self._first_step: float | None = None
        self._saving = 0.0
        self._evaluating = 0.0
        self._data_wait = 0.0
        self._kept = 0.0

    def begin_steps(self) -> None:
        """The first step begins."""
        self._first_step = time.perf_counter()

    @property
    def training(self) -> float:
        """Seconds in steps and evaluations so far."""
        if self._first_step is None:
            return 0.0
        return time.perf_counter() - self._first_step - self._saving

    def mark_saved(self, training: float) -> None:
        """A checkpoint holds the result of the first `training` seconds of training."""
        self._kept = training

    @property
    def stepping(self) -> float:
        """Seconds in optimizer steps so far: training without evaluations."""
        return self.training - self._evaluating

    @property
    def data_wait(self) -> float:
        """Seconds so far in which a batch was waited for, with an idle device."""
        return self._data_wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """What happens inside counts as saving."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._saving += time.perf_counter() - begun

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """What happens inside counts as evaluating, which is a part of training."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._evaluating += time.perf_counter() - begun

    def waiting(self, batches: Iterable[Item], is_idle: Callable[[], bool] = lambda: True) -> Iterator[Item]:
        """The same `batches`; the time that each is waited for counts as waiting for data, a part of training.

        Args:
            is_idle: asked when a batch is there: whether the device has nothing to do. If it still works on the step
                before, the wait has cost nothing, and does not count.
        """
        source = iter(batches)
        while True:
            begun = time.perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            if is_idle():
                self._data_wait += time.perf_counter() - begun
            yield batch

    def seconds(self, *, kept: bool = False) -> Seconds:
        """The seconds up to now. Unless everything is `kept`, training since the last checkpoint counts as lost."""
        now = time.perf_counter()
        return Seconds(
            queued=self._queued,
            starting=round((self._first_step or now) - self._start, 3),
            training=round(self.training, 3),
            saving=round(self._saving, 3),
            lost=0.0 if kept else round(self.training - self._kept, 3),
            evaluating=round(self._evaluating, 3),
            data_wait=round(self._data_wait, 3),
        )
