"""Fits runs whose `resources` have a range to what is free: Slurm is asked when each size would start."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passingloop.config.settings import RunConfig
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.slurm.batch import Request, expected_starts
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.limits import possible_requests, startable_requests
from passingloop.slurm.notation import duration_text, seconds
from passingloop.slurm.waiting.leftover import Demand, demands_before, remaining_gpus, unused_gpus
from passingloop.submit.request import candidates, request
from passingloop.submit.sbatch import script
from passingloop.submit.sizes import Offer, Pace, Size, chosen, step_seconds
from passingloop.track.metrics_file import steps_per_epoch

ASSUMED = 3600.0
"""Seconds that a run is taken to need with its smallest size, if its speed is not known and resources.time not set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The size that a run gets."""

    size: Size
    request: Request
    start: float | None
    """When Slurm expects to start it, in seconds since the epoch."""
    remaining: float
    """Seconds that it then takes."""
    is_measured: bool
    """Whether `remaining` follows from the run's own speed."""

    @property
    def sentence(self) -> str:
        """Why this size, for people."""
        if not self.is_measured:
            return f"With {self.size} it is expected to finish soonest; its speed is not measured yet."
        return f"With {self.size} it finishes soonest: {duration_text(self.remaining)} from its start on."


@dataclass(frozen=True, kw_only=True, slots=True)
class Yielded:
    """What a job has that makes way for others, and what they leave of it."""

    nodes: tuple[str, ...]
    remaining: Mapping[str, int]
    """GPUs by node that are free when this job has ended and the others have theirs."""
    longest: float | None
    """Seconds after which the others have ended at the latest; None if that is not known."""

    def has_room(self, size: Size) -> bool:
        """Whether a job of `size` fits into what remains."""
        return sum(gpus >= size.gpus for gpus in self.remaining.values()) >= size.nodes


def yielded(nodes: Sequence[str], gpus: int, priority: int, partition: str, facts: Facts) -> Yielded:
    """What the waiting jobs of higher priority leave of `nodes`, of each of which this job holds `gpus`.

    Where a site hides the jobs of others, nothing is taken to be left.

    Raises:
        MissingError: Slurm does not answer.
    """
    if facts.hides_jobs:
        return Yielded(nodes=tuple(nodes), remaining={}, longest=None)
    demands: list[Demand] = demands_before(priority, partition)
    free = {node: unused + gpus for node, unused in unused_gpus(nodes).items()}
    limits = [demand.limit for demand in demands]
    longest = None if None in limits else max((limit for limit in limits if limit), default=0.0)
    return Yielded(nodes=tuple(nodes), remaining=remaining_gpus(free, demands), longest=longest)


def fit(
    config: RunConfig,
    run: RunDir,
    facts: Facts,
    home: Home,
    code: Path,
    own: Yielded | None = None,
    keep: Size | None = None,
    freed: int = 0,
) -> Fit | None:
    """The size with which `run` finishes soonest; None if Slurm has no estimate for any.

    Args:
        own: what the job has that asks, if it makes way for others.
        keep: see `passingloop.submit.sizes.chosen`.
        freed: GPUs that the user has, and is about to free.

    Raises:
        ConfigError: as `passingloop.submit.request.request`.
    """
    by_size = {size: request(config, facts, size) for size in candidates(config, facts)}
    possible = possible_requests(list(by_size.values()), facts)
    startable = startable_requests(possible, facts, freed) or possible
    scripts = {size: script(asked, home, code) for size, asked in by_size.items() if asked in startable}
    if not scripts:
        return None
    starts = _starts(scripts, config, own)
    now = time.time()
    pace = run_pace(config, run, next(iter(scripts)))
    offers = [Offer(size, None if start is None else start - now) for size, start in starts.items()]
    best = chosen(offers, pace, keep)
    if best is None:
        return None
    return Fit(
        size=best.size,
        request=by_size[best.size],
        start=starts[best.size],
        remaining=pace.seconds(best.size),
        is_measured=pace.is_measured,
    )


def run_pace(config: RunConfig, run: RunDir, smallest: Size) -> Pace:
    """How fast `run` is, as far as its attempts have shown it."""
    past = ledger.read(run)
    total = config.trainer.steps
    if total is None and (epoch := steps_per_epoch(run.metrics)):
        total = max(1, round((config.trainer.epochs or 0) * epoch))
    limit = seconds(config.resources.time) if config.resources.time else None
    steps = None if total is None else max(0, total - run.saved_step)
    return Pace(measured=step_seconds(past), steps=steps, assumed=limit or ASSUMED, smallest=smallest)


def _starts(scripts: Mapping[Size, str], config: RunConfig, own: Yielded | None) -> dict[Size, float | None]:
    """When Slurm expects to start each size, in seconds since the epoch.

    Slurm takes the GPUs of a job that makes way to be free when it has ended, and does not see that they are promised
    to another. So a size that does not fit into what remains of them is looked for on other nodes, or it waits until
    the others have ended.
    """
    starts = dict(zip(scripts, expected_starts(list(scripts.values())), strict=True))
    if own is None:
        return starts
    crowded = [size for size in scripts if not own.has_room(size)]
    before = str(config.cluster.extra.get("exclude", ""))
    exclude = ",".join(filter(None, [before, *own.nodes]))
    elsewhere = expected_starts([scripts[size] for size in crowded], f"--exclude={exclude}")
    for size, other in zip(crowded, elsewhere, strict=True):
        start = starts[size]
        later = None if start is None or own.longest is None else start + own.longest
        known = [one for one in (other, later) if one is not None]
        starts[size] = min(known, default=None)
    return starts
