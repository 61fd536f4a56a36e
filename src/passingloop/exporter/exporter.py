"""The metrics at one time, from Slurm's queue, its accounting, and the run directories."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from passingloop import __version__
from passingloop.errors import MissingError, PassingloopError, SlurmRefused
from passingloop.exporter.metrics import Metric, Use, cluster_metrics, source_metrics, use_metrics
from passingloop.exporter.occupation import Label, Occupation, occupation
from passingloop.exporter.window import read_use
from passingloop.slurm.waiting.occupancy import polled_occupancy
from passingloop.usage.usage_report import Request

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read of the window."""

    use: Use
    has_accounting: bool
    has_runs: bool


class Exporter:
    """Makes the metrics. The queue is asked for at each scrape, but no more often than the site allows; accounting and
    run directories, which may take many seconds, by `read_window` only."""

    def __init__(self, request: Callable[[], Request], more: Collection[Label], say: Say) -> None:
        """
        Args:
            request: what is to be reported if it is read now.
            more: labels besides the QOS.
            say: gets a sentence for each thing that is found missing, once.
        """
        self._request, self._more, self._say = request, more, say
        self._reading: Reading | None = None
        self._said: set[str] = set()

    def read_window(self) -> None:
        """Read accounting and run directories anew."""
        use, sources = read_use(self._request(), self._more)
        self._reading = Reading(use=use, has_accounting=sources.has_accounting, has_runs=bool(sources.runs))
        for note in sources.notes:
            self._say_once(note)

    def keep_reading(self, seconds: float, stop: threading.Event) -> None:
        """Read the window every so many seconds, until `stop` is set."""
        while not stop.is_set():
            begun = time.monotonic()
            try:
                self.read_window()
            except (PassingloopError, OSError) as error:  # the older figures stay, with the time that they are of
                self._say_once(f"The figures on use could not be read: {error}")
            except Exception as error:  # one run or job that nobody foresaw must not end all later readings
                self._say_once(f"The figures on use could not be read, by an error in passingloop: {error!r}")
            stop.wait(max(0.0, seconds - (time.monotonic() - begun)))

    def collect(self) -> list[Metric]:
        """The metrics now. What cannot be had is absent, and ``passingloop_source_up`` says so."""
        now, reading = self._occupation(), self._reading
        answered = {"queue": now is not None}
        if reading:
            answered |= {"accounting": reading.has_accounting, "runs": reading.has_runs}
        used = use_metrics(reading.use if reading else None)
        return [*source_metrics(__version__, answered), *cluster_metrics(now), *used]

    @property
    def is_blind(self) -> bool:
        """Whether none of the sources of the newest figures has answered."""
        found = self._reading and (self._reading.has_accounting or self._reading.has_runs)
        return not found and self._occupation() is None

    def _occupation(self) -> Occupation | None:
        try:
            return occupation(polled_occupancy(), self._more)
        except (MissingError, SlurmRefused) as error:
            self._say_once(f"The metrics of the queue are left out: {error}")
            return None

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)
