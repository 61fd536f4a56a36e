"""The samples of a run's nodes as metrics for W&B: rows over time, of all nodes and GPUs together.

    {"resources/minutes": 12.5, "resources/gpu_busy": 0.93, "resources/gpu_memory_gb": 71.2, …}

Shares are 0 to 1. What was not measured is not in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from passingloop.rundir import record
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import NodeSamples, recent_samples
from passingloop.rundir.usage import Totals

AXIS = "resources/minutes"
"""Since the run was created, at the end of the period."""

PERIOD = 30.0
"""Seconds that a row stands for."""

MEANS = {
    "gpu_busy": ("busy", 1.0),
    "gpu_sm": ("sm", 1.0),
    "gpu_tensor": ("tensor", 1.0),
    "gpu_power_watts": ("power", 1.0),
    "cpus": ("cpus", 1.0),
    "read_mb_per_second": ("read", 1e-6),
    "written_mb_per_second": ("written", 1e-6),
}
"""Means over the GPUs, or over the nodes; the name of each quantity in `Totals`, and a factor."""

PEAKS = {
    "gpu_memory_gb": ("gpu_memory", 1e-9),
    "gpu_temperature_celsius": ("temperature", 1.0),
    "memory_gb": ("memory", 1e-9),
}
"""Of the GPU, or node, that has most."""

NAMES = tuple(f"resources/{name}" for name in (*MEANS, *PEAKS))

LATE = 90.0
"""Seconds of samples that are looked at again; a file system may show those of other nodes later."""

Row = dict[str, float]


def metric_rows(nodes: Sequence[NodeSamples], created: float) -> Iterator[tuple[int, Row]]:
    """A row for each `PERIOD` in which there are samples, oldest first, with the number of the period.

    Args:
        created: when the run was created, in seconds since the epoch.
    """
    periods: dict[int, Totals] = {}
    for node in nodes:
        for sample in node.samples:
            periods.setdefault(int(sample.time // PERIOD), Totals()).add(sample)
    for number, totals in sorted(periods.items()):
        means = {name: (totals.mean(quantity), factor) for name, (quantity, factor) in MEANS.items()}
        peaks = {name: (totals.peak(quantity), factor) for name, (quantity, factor) in PEAKS.items()}
        measured = {
            f"resources/{name}": value * factor
            for name, (value, factor) in (means | peaks).items()
            if value is not None
        }
        if measured:
            yield number, {AXIS: round(((number + 1) * PERIOD - created) / 60, 2)} | measured


def created_time(run: RunDir) -> float:
    """When the run was created, in seconds since the epoch."""
    return datetime.fromisoformat(record.read(run)["created"]).timestamp()


class NewRows:
    """The rows of an attempt that goes on, each given once when its period is over."""

    def __init__(self, run: RunDir, attempt: int) -> None:
        self._run, self._attempt = run, attempt
        self._created = created_time(run)
        self._given = -1

    def take(self, now: float) -> Iterator[Row]:
        """The rows of the periods that are over, and have not been given yet."""
        for number, row in metric_rows(recent_samples(self._run, self._attempt, LATE), self._created):
            if self._given < number < int(now // PERIOD):
                self._given = number
                yield row
