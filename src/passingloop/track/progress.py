"""How far training is: one bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from rich import progress as bars
from rich.console import Console
from rich.table import Column
from rich.text import Text

from passingloop.track import figures
from passingloop.track.terminal import say

LINES = 40
"""About so many lines a run prints off a terminal."""

SECONDS_APART = 30.0
"""Lines come no closer than this, in short runs."""

SECONDS_SILENT = 600.0
"""And no further apart than this, in runs of more than about seven hours; these print more than `LINES`."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is shown after an optimizer step."""

    step: int
    total: int
    loss: float
    samples_per_second: float
    left: float | None
    """Estimated seconds to the end; None while there is nothing to go by."""

    def pace(self) -> list[str]:
        return [f"loss {figures.loss(self.loss)}", f"{figures.rate(self.samples_per_second)} samples/s"]

    def rest(self) -> list[str]:
        return [] if self.left is None else [f"{figures.clock(self.left)} left"]


class Progress:
    """Shows the steps of one attempt, the first being `start` + 1 and the last `total_steps`.

    As a context manager. Off a terminal it prints a line after the first and the last step, and between them at
    every Nth step, N being a fortieth of the steps, unless the line before is less than 30 s old; and in any
    case when it is more than 10 minutes old.
    """

    def __init__(self, total_steps: int, start: int, console: Console, *, clock: Clock = time.monotonic) -> None:
        self._total = total_steps
        self._console = console
        self._clock = clock
        self._first: tuple[int, float] | None = None
        moving = console.is_interactive
        self._view: _View = _Bar(total_steps, start, console) if moving else _Lines(total_steps, start, console)

    def __enter__(self) -> Self:
        self._view.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()

    def update(self, step: int, loss: float, samples_per_second: float) -> None:
        """Optimizer step `step` is done."""
        now = self._clock()
        left = self._left(step, now)
        self._view.show(Reading(step, self._total, loss, samples_per_second, left), now)

    def _left(self, step: int, now: float) -> float | None:
        """Seconds, from the pace since the first step of this attempt, which itself may include a warm-up."""
        if self._first is None:
            self._first = (step, now)
        first_step, first_time = self._first
        if step <= first_step or step >= self._total:
            return None
        return (now - first_time) / (step - first_step) * (self._total - step)


class _View(Protocol):
    def open(self) -> None: ...
    def show(self, reading: Reading, now: float) -> None: ...
    def close(self) -> None: ...


class _Lines:
    """For log files."""

    def __init__(self, total: int, start: int, console: Console) -> None:
        self._console = console
        self._every = -(-(total - start) // LINES) or 1
        self._seen = start
        self._printed: float | None = None

    def open(self) -> None: ...

    def close(self) -> None: ...

    def show(self, reading: Reading, now: float) -> None:
        due = self._due(reading, now)
        self._seen = reading.step
        if not due:
            return
        self._printed = now
        step = str(reading.step).rjust(len(str(reading.total)))
        say(self._console, "  ".join([f"step {step}/{reading.total}", *reading.pace(), *reading.rest()]))

    def _due(self, reading: Reading, now: float) -> bool:
        if self._printed is None or reading.step == reading.total:
            return True
        seconds = now - self._printed
        passed = reading.step // self._every > self._seen // self._every
        return (passed and seconds >= SECONDS_APART) or seconds >= SECONDS_SILENT


class _Tail(bars.ProgressColumn):
    def render(self, task: bars.Task) -> Text:
        reading: Reading | None = task.fields["reading"]
        elapsed = figures.clock(task.elapsed or 0.0)
        words = [elapsed] if reading is None else [*reading.pace(), elapsed, *reading.rest()]
        return Text("  ".join(words))


class _Bar:
    """For terminals. Refreshed twice a second by a thread, so that time is seen to pass in long steps."""

    def __init__(self, total: int, start: int, console: Console) -> None:
        # Standard output carries data and is left alone; what libraries print on standard error goes above.
        self._bar = bars.Progress(
            bars.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            bars.BarColumn(None, complete_style="cyan", finished_style="cyan", table_column=Column(ratio=1)),
            _Tail(table_column=Column(no_wrap=True)),
            console=console,
            refresh_per_second=2,
            redirect_stdout=False,
            expand=True,
        )
        self._task = self._bar.add_task("", total=total, completed=start, reading=None)

    def open(self) -> None:
        self._bar.start()

    def close(self) -> None:
        self._bar.stop()

    def show(self, reading: Reading, now: float) -> None:
        self._bar.update(self._task, completed=reading.step, reading=reading)
