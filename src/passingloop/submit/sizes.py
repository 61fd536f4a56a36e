"""Which of the sizes that a range allows a run gets: the one with which it finishes soonest. Pure.

Finishing takes the wait in the queue, which Slurm estimates, and the remaining steps at the seconds that one takes with
that size: as the run's own attempts have measured it, and for other sizes by Amdahl's law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from passingloop.config.bounds import Span
from passingloop.config.running import ResourcesConfig
from passingloop.rundir.events import Start
from passingloop.rundir.ledger import Ledger

ALL_UP_TO = 8
"""Each number of a range up to this is a candidate; beyond it the powers of two, and the end of the range."""

SERIAL_SHARE = 0.05
"""The part of a step on one GPU that more GPUs do not shorten, until two sizes have been measured (Amdahl 1967). An
assumption, and rather a high one: 8 GPUs are then 5.9 times as fast as one."""

MIN_STEPS = 5
"""Steps that an attempt must have done for its speed to count."""

AS_SOON = 0.05
"""A smaller size is preferred if the run finishes with it at most so much later, as a share of the shortest time."""


@dataclass(frozen=True, order=True, slots=True)
class Size:
    """How much of a cluster a job has."""

    nodes: int
    gpus: int
    """Per node; 0 where the run computes on CPUs."""

    @property
    def devices(self) -> int:
        """GPUs in all; nodes of a run that computes on CPUs."""
        return self.nodes * max(self.gpus, 1)

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU{'' if self.gpus == 1 else 's'}"
        if self.nodes == 1:
            return gpus if self.gpus else "1 node"
        return f"{self.nodes} nodes" + (f" of {gpus}" if self.gpus else "")


@dataclass(frozen=True, slots=True)
class Offer:
    """When a job of a size would start."""

    size: Size
    start: float | None
    """Seconds from now; None if Slurm has no estimate."""


def sizes(resources: ResourcesConfig, default_gpus: int) -> list[Size]:
    """The candidates, smallest first: first more GPUs of the fewest nodes, then more nodes with the most GPUs.

    Args:
        default_gpus: GPUs per node for ``resources.gpus=auto``.
    """
    gpus = _numbers(resources.gpus, default_gpus)
    nodes = _numbers(resources.nodes, 1)
    found = [Size(nodes[0], number) for number in gpus] + [Size(number, gpus[-1]) for number in nodes[1:]]
    return sorted(found, key=lambda size: (size.devices, size))


def _numbers(wanted: int | str, default: int) -> list[int]:
    if isinstance(wanted, int):
        return [wanted]
    if not isinstance(wanted, Span):
        return [default]
    every = range(wanted.low, wanted.high + 1)
    return [n for n in every if n <= ALL_UP_TO or n & (n - 1) == 0 or n in (wanted.low, wanted.high)]


def step_seconds(ledger: Ledger) -> dict[Size, float]:
    """Seconds per step by size, each from the newest attempt of that size that has done enough steps.

    They include evaluations, which are part of what remains as well. An attempt in a shell counts too: GPUs that it
    had are in its `start`.
    """
    found = {}
    for start in ledger.events_of(Start):
        end = ledger.end(start.attempt)
        steps = end.end_step - start.start_step if end else 0
        if end and start.gpus is not None and steps >= MIN_STEPS and end.seconds.training > 0:
            found[Size(len(start.nodes), start.gpus)] = end.seconds.training / steps
    return found


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the remaining steps take with each size.

    Args:
        measured: seconds per step, by size.
        steps: that remain; None if it is not known.
        assumed: seconds that all takes with `smallest`, where nothing is measured or `steps` is not known.
    """

    measured: Mapping[Size, float]
    steps: int | None
    assumed: float
    smallest: Size

    @property
    def is_measured(self) -> bool:
        return self.steps is not None and bool(self.measured)

    def seconds(self, size: Size) -> float:
        """Seconds that the remaining steps take."""
        if self.steps is None or not self.measured:
            fixed, shared = self._law()
            return self.assumed * (fixed + shared / size.devices) / (fixed + shared / self.smallest.devices)
        if size in self.measured:
            return self.steps * self.measured[size]
        fixed, shared = self._law()
        return self.steps * (fixed + shared / size.devices)

    def _law(self) -> tuple[float, float]:
        """Seconds of a step that are the same with every size, and those that are divided by its devices."""
        points = [(1 / size.devices, seconds) for size, seconds in self.measured.items()]
        mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True)) if points else (1.0, 1.0)
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        if not spread:
            unit = mean_y / (SERIAL_SHARE + (1 - SERIAL_SHARE) * mean_x)
            return unit * SERIAL_SHARE, unit * (1 - SERIAL_SHARE)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
        if slope <= 0:  # more devices have not helped
            return mean_y, 0.0
        if mean_y < slope * mean_x:  # more than linear, as where caches hold it: taken as linear
            return 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)
        return mean_y - slope * mean_x, slope


def chosen(offers: Sequence[Offer], pace: Pace, keep: Size | None = None) -> Offer | None:
    """The offer with which the run finishes soonest, a smaller one if that makes little difference.

    None if there is no estimate.

    What all of them wait makes no difference: Slurm adds the time of waiting jobs to each of its estimates.

    Args:
        keep: the size that the run has now, which is preferred to a smaller one.
    """
    known = {offer: offer.start for offer in offers if offer.start is not None}
    if not known:
        return None
    first = min(known.values())
    finish = {offer: start - first + pace.seconds(offer.size) for offer, start in known.items()}
    limit = min(finish.values()) * (1 + AS_SOON)
    soon = [offer for offer in known if finish[offer] <= limit]
    return min(soon, key=lambda offer: (offer.size != keep, offer.size.devices, finish[offer]))
