"""Shows the progress of training: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from rich import progress as bars
from rich.console import Console
from rich.table import Column
from rich.text import Text

from passingloop import figures
from passingloop.track.console import say
from passingloop.track.speed import Speed

MAX_LINES = 40
"""Approximate number of lines that a run prints if stderr is not a terminal."""

MIN_SECONDS = 30.0
"""Least seconds between two lines, for short runs."""

MAX_SECONDS = 600.0
"""Most seconds between two lines. Runs of more than about seven hours print more than `MAX_LINES` for it."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class StepReading:
    """The values that are shown after an optimizer step."""

    step: int
    total: int
    loss: float
    speed: Speed
    remaining_seconds: float | None
    """Estimated seconds to the end; None if there is no estimate yet."""

    def speed_texts(self) -> list[str]:
        """Loss and speed, as text."""
        return [f"loss {figures.loss(self.loss)}", *self.speed.texts()]

    def remaining_texts(self) -> list[str]:
        """The remaining time as text; empty if there is no estimate."""
        return [] if self.remaining_seconds is None else [f"{figures.clock(self.remaining_seconds)} left"]


class ProgressDisplay:
    """Shows the progress of one attempt, from step `start` + 1 to `total_steps`. A context manager.

    If stderr is not a terminal, it prints a line after the first and the last step, and between them after every Nth
    step, where N is a fortieth of the steps, if the last line is at least `MIN_SECONDS` old, and after any step if it
    is `MAX_SECONDS` old.
    """

    def __init__(self, total_steps: int, start: int, console: Console, *, clock: Clock = time.monotonic) -> None:
        self._total = total_steps
        self._console = console
        self._clock = clock
        self._first: tuple[int, float] | None = None
        animated = console.is_interactive
        self._view: _View = _Bar(total_steps, start, console) if animated else _Lines(total_steps, start, console)

    def __enter__(self) -> Self:
        self._view.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()

    def update(self, step: int, loss: float, speed: Speed) -> None:
        """Show that optimizer step `step` is done."""
        now = self._clock()
        remaining = self._remaining_seconds(step, now)
        self._view.show(StepReading(step, self._total, loss, speed, remaining), now)

    def _remaining_seconds(self, step: int, now: float) -> float | None:
        """Estimated seconds to the end, from the speed since the first step, which itself may have a warm-up."""
        if self._first is None:
            self._first = (step, now)
        first_step, first_time = self._first
        if step <= first_step or step >= self._total:
            return None
        return (now - first_time) / (step - first_step) * (self._total - step)


class _View(Protocol):
    def open(self) -> None: ...
    def show(self, reading: StepReading, now: float) -> None: ...
    def close(self) -> None: ...


class _Lines:
    """Prints lines, for log files."""

    def __init__(self, total: int, start: int, console: Console) -> None:
        self._console = console
        self._every = -(-(total - start) // MAX_LINES) or 1
        self._last_step = start
        self._last_time: float | None = None

    def open(self) -> None: ...

    def close(self) -> None: ...

    def show(self, reading: StepReading, now: float) -> None:
        due = self._is_due(reading, now)
        self._last_step = reading.step
        if not due:
            return
        self._last_time = now
        step = str(reading.step).rjust(len(str(reading.total)))
        say(
            self._console,
            "  ".join([f"step {step}/{reading.total}", *reading.speed_texts(), *reading.remaining_texts()]),
        )

    def _is_due(self, reading: StepReading, now: float) -> bool:
        if self._last_time is None or reading.step == reading.total:
            return True
        seconds = now - self._last_time
        passed = reading.step // self._every > self._last_step // self._every
        return (passed and seconds >= MIN_SECONDS) or seconds >= MAX_SECONDS


class _StatusColumn(bars.ProgressColumn):
    def render(self, task: bars.Task) -> Text:
        reading: StepReading | None = task.fields["reading"]
        elapsed = figures.clock(task.elapsed or 0.0)
        texts = [elapsed] if reading is None else [*reading.speed_texts(), elapsed, *reading.remaining_texts()]
        return Text("  ".join(texts))


class _Bar:
    """Shows a bar, for terminals. A thread refreshes it twice a second, so that the time also moves in long steps."""

    def __init__(self, total: int, start: int, console: Console) -> None:
        # stdout has data and is not redirected. Output of libraries on stderr is shown above the bar.
        self._bar = bars.Progress(
            bars.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            bars.BarColumn(None, complete_style="cyan", finished_style="cyan", table_column=Column(ratio=1)),
            _StatusColumn(table_column=Column(no_wrap=True)),
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

    def show(self, reading: StepReading, now: float) -> None:
        self._bar.update(self._task, completed=reading.step, reading=reading)
