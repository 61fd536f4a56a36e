"""The metrics: their names, which stay, what they mean, and their values; pure.

Units are those of Prometheus: seconds, joules, grams, ratios from 0 to 1. A figure that is not known has no sample, so
that it is never taken for 0. The figures of ``passingloop_use_…`` are over a window that ends now and moves, as in
`passingloop report --since`; they go down as well, and are gauges therefore.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from passingloop.exporter.occupation import Key, Label, Occupation
from passingloop.report.usage.prices import JOULES_PER_KWH
from passingloop.report.usage.usage_figures import Figures, GpuHours

HOUR = 3600.0
GRAMS = 1000.0

WAIT_BOUNDS = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0, 172_800.0, 604_800.0)
"""Upper bounds of the buckets of waits, in seconds: a minute to a week."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """A metric with a value for each combination of labels."""

    name: str
    meaning: str
    """What Prometheus shows as HELP."""
    labels: tuple[str, ...] = ()
    values: Mapping[Key, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """A metric whose observations are counted in buckets."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    observations: Mapping[Key, Sequence[float]]

    def counts(self, key: Key) -> list[tuple[float, int]]:
        """For each bound, infinity last, how many observations are at most as great."""
        found = [0] * (len(self.bounds) + 1)
        for value in self.observations[key]:
            found[bisect_left(self.bounds, value)] += 1
        bounds = (*self.bounds, float("inf"))
        return [(bound, sum(found[: index + 1])) for index, bound in enumerate(bounds)]


Metric = Gauge | Histogram


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What `passingloop report` says of a window, by labels."""

    since: float
    """Seconds since the epoch, as `until`."""
    until: float
    labels: tuple[Label, ...]
    figures: Mapping[Key, Figures]
    waits: Mapping[Key, Sequence[float]]
    """Seconds from when a job could have started until it did, of each job that started in the window."""
    currency: str | None = None
    """None without a file of prices."""


def source_metrics(version: str, answered: Mapping[str, bool]) -> list[Metric]:
    """About the exporter itself: its version, and which of its sources answered."""
    return [
        Gauge(
            name="passingloop_build_info",
            meaning="Version of passingloop that made these figures; always 1.",
            labels=("version",),
            values={(version,): 1.0},
        ),
        Gauge(
            name="passingloop_source_up",
            meaning="Whether a source answered (1) or not (0): without it its figures are absent.",
            labels=("source",),
            values={(source,): float(up) for source, up in answered.items()},
        ),
    ]


def cluster_metrics(now: Occupation | None) -> list[Metric]:
    """About the cluster at this moment; without samples if it is not known."""
    labels = now.labels if now else ()
    return [
        Gauge(
            name="passingloop_gpus",
            meaning="GPUs by state: allocated, idle, or unavailable (down, drained, reserved).",
            labels=("state",),
            values={(state,): number for state, number in now.gpus.items()} if now else {},
        ),
        Gauge(
            name="passingloop_gpus_allocated",
            meaning="GPUs that running jobs hold.",
            labels=labels,
            values=now.gpus_allocated if now else {},
        ),
        Gauge(
            name="passingloop_gpus_requested",
            meaning="GPUs that pending jobs ask for.",
            labels=labels,
            values=now.gpus_requested if now else {},
        ),
        Gauge(
            name="passingloop_jobs_running",
            meaning="Running jobs; each task of an array counts.",
            labels=labels,
            values=now.running if now else {},
        ),
        Gauge(
            name="passingloop_jobs_pending",
            meaning="Pending jobs by Slurm's reason code; each task of an array counts.",
            labels=("reason",),
            values={(reason,): float(number) for reason, number in now.pending.items()} if now else {},
        ),
        Gauge(
            name="passingloop_pending_oldest_seconds",
            meaning="For how long the oldest pending job could have started, dependencies and begin times aside.",
            labels=labels,
            values=now.longest_wait if now else {},
        ),
    ]


def use_metrics(use: Use | None) -> list[Metric]:
    """What `passingloop report` says of the window; without samples if it is not known."""
    return list(_use_metrics(use or Use(since=0.0, until=0.0, labels=(), figures={}, waits={}), known=use is not None))


def _use_metrics(use: Use, *, known: bool) -> Iterator[Metric]:
    labels, figures = use.labels, use.figures

    def gauge(name: str, meaning: str, values: Mapping[Key, float | None], *more: str) -> Gauge:
        present = {key: value for key, value in values.items() if value is not None}
        return Gauge(name=f"passingloop_use_{name}", meaning=meaning, labels=(*labels, *more), values=present)

    yield Gauge(
        name="passingloop_use_window_seconds",
        meaning="Length of the window of all passingloop_use metrics.",
        values={(): use.until - use.since} if known else {},
    )
    yield Gauge(
        name="passingloop_use_until_timestamp_seconds",
        meaning="End of that window, seconds since the epoch: when these figures were made.",
        values={(): use.until} if known else {},
    )
    yield gauge("jobs", "Jobs that held resources.", {key: float(of.jobs) for key, of in figures.items()})
    yield gauge("runs", "Runs of passingloop among them.", {key: float(of.runs) for key, of in figures.items()})
    yield gauge(
        "gpu_seconds",
        "GPU time by what it was used for; the uses add up to all that was allocated.",
        {(*key, name): value for key, of in figures.items() for name, value in _uses(of.gpu_hours).items()},
        "use",
    )
    yield gauge(
        "gpu_activity_seconds",
        "The same GPU time by what samples measured: busy, idle, unmeasured.",
        {(*key, name): value for key, of in figures.items() for name, value in _activity(of.gpu_hours).items()},
        "activity",
    )
    yield gauge(
        "gpu_wasted_seconds",
        "GPU time that brought no run forward: overhead or idle time, whichever is more.",
        {key: of.gpu_hours.wasted * HOUR for key, of in figures.items()},
    )
    yield gauge("cpu_seconds", "CPU time allocated.", {key: of.cpu_hours * HOUR for key, of in figures.items()})
    yield gauge(
        "goodput_ratio",
        "Share of the explained GPU time that went into steps which were kept.",
        {key: of.goodput for key, of in figures.items()},
    )
    yield gauge(
        "explained_ratio",
        "Share of the GPU time that goodput and ETTR cover.",
        {key: of.explained_share for key, of in figures.items()},
    )
    yield gauge(
        "ettr_ratio",
        "Effective training time ratio: productive over productive, unproductive and queued time.",
        {key: of.ettr.value if of.ettr else None for key, of in figures.items()},
    )
    yield gauge(
        "ettr_gpu_seconds",
        "The parts of ETTR: productive, unproductive, queued.",
        {(*key, part): value for key, of in figures.items() for part, value in _ettr_parts(of).items()},
        "part",
    )
    yield gauge(
        "busy_ratio",
        "Share of the measured GPU time in which GPUs were busy.",
        {key: of.busy_share for key, of in figures.items()},
    )
    yield gauge(
        "mfu_ratio",
        "Model FLOPs utilisation of the runs that know theirs.",
        {key: of.mfu for key, of in figures.items()},
    )
    yield gauge(
        "requeues",
        "How often jobs were requeued or runs submitted themselves again, by cause.",
        {(*key, cause): float(number) for key, of in figures.items() for cause, number in of.requeues.items()},
        "cause",
    )
    yield Histogram(
        name="passingloop_use_wait_seconds",
        meaning="Waits of the jobs that started, from when they could have.",
        labels=labels,
        bounds=WAIT_BOUNDS,
        observations=use.waits,
    )
    yield gauge(
        "energy_joules",
        "Energy of the GPUs that were measured.",
        {key: of.energy.kwh * JOULES_PER_KWH if of.energy else None for key, of in figures.items()},
    )
    yield gauge(
        "co2_grams",
        "CO2 of that energy, by the grid factor of the file of prices.",
        {
            key: of.energy.co2_kg * GRAMS if of.energy and of.energy.co2_kg is not None else None
            for key, of in figures.items()
        },
    )
    yield gauge(
        "cost",
        "What the GPU time costs by each kind of price, in the currency of the file of prices.",
        {
            (*key, kind, use.currency or ""): money.amount
            for key, of in figures.items()
            for kind, money in of.money.items()
        },
        "price",
        "currency",
    )


def _uses(hours: GpuHours) -> dict[str, float]:
    names = ("training", "starting", "saving", "lost_to_preemption", "lost_to_failure", "holding", "unexplained")
    return {name: getattr(hours, name) * HOUR for name in names}


def _activity(hours: GpuHours) -> dict[str, float | None]:
    found = {"busy": hours.busy, "idle": hours.idle, "unmeasured": hours.unmeasured}
    return {name: None if value is None else value * HOUR for name, value in found.items()}


def _ettr_parts(figures: Figures) -> dict[str, float]:
    if figures.ettr is None:
        return {}
    return {name: getattr(figures.ettr, name) * HOUR for name in ("productive", "unproductive", "queued")}
