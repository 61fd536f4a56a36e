"""What the report on usage contains: `Report` is what tables, JSON, CSV and HTML are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from passingloop.report.usage.allocation_use import Use
from passingloop.report.usage.usage_figures import Figures, PriceKind

By = Literal["run", "experiment", "user", "account", "qos", "node"]
"""What allocations are grouped by. An experiment is all runs with the same name. Jobs that are no runs have no part in
groups by run and experiment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What a figure says about a run or job, and what to do."""

    rule: str
    """Its stable name, such as ``cpus``."""
    sentence: str
    """The figure and the remedy: "asked for 8 CPUs, used 1.1: resources.cpus_per_task=2 would do"."""
    gpu_hours: float | None = None
    """About how many GPU-hours it is about; None if the figure is not about GPU time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    name: str
    """The run as ``name/signature``, or the name of experiment, user, account, QOS or node; "" if there is none."""
    figures: Figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The use of GPUs over time, in buckets of `seconds`. All series have the length of `starts`."""

    seconds: float
    starts: tuple[float, ...]
    """The start of each bucket, in seconds since the epoch."""
    gpus: Mapping[str, tuple[float, ...]]
    """The mean number of GPUs that were allocated, by QOS ("" if there is none)."""
    busy: tuple[float | None, ...]
    """The mean number of GPUs that were busy, as far as they were sampled; None where nothing was."""
    waits: tuple[float | None, ...]
    """The median wait, in seconds, of the jobs that started in the bucket; None where none did."""
    waiting: tuple[float, ...]
    """The mean number of eligible jobs that waited. Only jobs that have started since are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waster:
    """A run that brought little for its GPUs. What other jobs did with theirs is not known."""

    name: str
    """``name/signature``."""
    job_id: str | None
    """The newest job; None of a run in a shell."""
    user: str
    qos: str | None
    gpu_hours: float
    wasted: float
    """GPU-hours, see `GpuHours.wasted`."""
    advice: tuple[Advice, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptPart:
    """One attempt of a run, for the page of the run."""

    attempt: int
    started: float
    ended: float | None
    """None while it runs."""
    start_step: int
    end_step: int | None
    cause: str | None
    """Why it ended; None while it runs, or if nothing is known."""
    message: str | None
    nodes: tuple[str, ...]
    gpus: int | None
    """On all nodes together; None in ledgers of earlier versions."""
    job_id: str | None
    seconds: Mapping[Use, float] = field(default_factory=dict)
    """Not cut at the edges of the report's period."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A metric over steps, across attempts. Steps that were trained again appear once, as they were trained last."""

    split: str
    """``train``, ``validation`` or ``test``."""
    metric: str
    steps: tuple[int, ...]
    """At most `MAX_POINTS` of them, thinned out evenly; the first and the last are always there."""
    values: tuple[float | None, ...]
    """None where the value is not finite."""


Resource = Literal["gpu_busy", "gpu_sm", "gpu_tensor", "gpu_memory", "gpu_power", "cpus", "memory"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceCurve:
    """A measured resource over time, over all attempts. Between attempts there is a None."""

    name: Resource
    """Shares of 1 for `gpu_busy`, `gpu_sm` and `gpu_tensor` (mean over the GPUs); bytes for memories (of the GPU the
    fullest one's); watts for `gpu_power` (all GPUs); cores for `cpus`."""
    times: tuple[float, ...]
    values: tuple[float | None, ...]


MAX_POINTS = 120
"""Points of a curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """A run that held resources in the report's period, with its whole history."""

    name: str
    """``name/signature``."""
    path: str
    """The run directory."""
    experiment: str
    user: str
    created: float
    state: str
    """Such as ``completed``: the words of `passingloop status`, as its directory tells it, without asking Slurm."""
    metrics: Mapping[str, float]
    """Of its result, such as ``test/accuracy``; empty without one."""
    throughput: Mapping[str, float] = field(default_factory=dict)
    """Of its result, by the names in `passingloop.track.speed.FIGURES`, as far as they are known."""
    settings: Mapping[str, Any]
    """The settings that shape what is learned, by their full names, without secrets."""
    figures: Figures
    """Within the report's period."""
    attempts: tuple[AttemptPart, ...]
    curves: tuple[Curve, ...]
    resources: tuple[ResourceCurve, ...]
    """Empty if nothing was sampled."""
    advice: tuple[Advice, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPoint:
    run: str
    """``name/signature``: the name of its `RunPage`."""
    overrides: Mapping[str, Any]
    """The values of `Sweep.parameters`."""
    metrics: Mapping[str, float]
    """Of its result; of an unfinished run the newest of the validation."""
    is_complete: bool
    gpu_hours: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepRung:
    """A rung of a sweep that stops poor points early, as its ledger has it."""

    number: int
    """From 0."""
    fraction: float
    """The share of the steps of a whole training at which points pause; 1 for the last."""
    told: int
    """Points that were told to train to it."""
    done: int
    """Those of them that have a value there."""
    went_on: int
    """Those that were told to train to the next."""
    failed: int
    """Those that will have no value."""
    best: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """The runs of one experiment, if their settings differ."""

    name: str
    parameters: tuple[str, ...]
    """The settings that differ, by their full names."""
    metrics: tuple[str, ...]
    points: tuple[SweepPoint, ...]
    compared_by: str | None = None
    """The metric by which points go on from rung to rung; None if all train to the end."""
    rungs: tuple[SweepRung, ...] = ()
    """Empty if all train to the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceNote:
    """Where the prices come from, to be shown with every amount."""

    currency: str
    date: str
    """ISO 8601."""
    source: str
    here: PriceKind
    """The kind of price that is paid for this cluster. The others are what the same work would cost elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What jobs and runs used between `since` and `until`, in seconds since the epoch."""

    since: float
    until: float
    cluster: str | None
    """Its name in Slurm; None without Slurm."""
    totals: Figures
    groups: Mapping[By, tuple[Group, ...]]
    """Of each way to group, the group with the most GPU-hours first."""
    timeline: Timeline
    wasters: tuple[Waster, ...]
    """Those who wasted most come first; at most 20."""
    runs: tuple[RunPage, ...]
    """The newest first."""
    sweeps: tuple[Sweep, ...]
    prices: PriceNote | None
    notes: tuple[str, ...]
    """What the reader must know about the sources, as sentences: that accounting did not answer, that runs were left
    out because their directories cannot be read."""
