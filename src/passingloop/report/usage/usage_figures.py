"""The figures of a group of allocations. A figure that is not known is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PriceKind = Literal["on_premises", "on_demand", "spot"]

PRICE_NAMES: Mapping[PriceKind, str] = {"on_premises": "on-premises", "on_demand": "on demand", "spot": "spot"}


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuHours:
    """GPU-hours, divided in two independent ways: by what the time was used for, and by what samples have measured.

    `allocated` = `training` + `starting` + `saving` + `lost_to_preemption` + `lost_to_failure` + `holding` +
    `unexplained`, and `allocated` = `busy` + `idle` + `unmeasured`.
    """

    allocated: float = 0.0
    training: float = 0.0
    starting: float = 0.0
    saving: float = 0.0
    lost_to_preemption: float = 0.0
    lost_to_failure: float = 0.0
    holding: float = 0.0
    """Queued while holding: the job had its GPUs and waited."""
    unexplained: float = 0.0
    """Of jobs that are no runs, and of runs whose ledger does not say."""
    busy: float | None = None
    """By the GPUs' own utilisation: a GPU at 60 % for an hour is busy for 0.6 hours. None if nothing was sampled."""
    idle: float | None = None
    unmeasured: float = 0.0

    @property
    def explained(self) -> float:
        return self.allocated - self.unexplained

    @property
    def wasted(self) -> float:
        """At least so much brought no run forward: the overhead or the idle hours, whichever is more.

        They overlap (the GPUs of an attempt that starts are idle), so they are not added.
        """
        overhead = self.starting + self.saving + self.lost_to_preemption + self.lost_to_failure + self.holding
        return max(overhead, self.idle or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ettr:
    """The effective training time ratio: `productive` / (`productive` + `unproductive` + `queued`).

    Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters" (arXiv:2410.21680),
    section II: productive runtime over the wall-clock time in which the run had a job or waited for one. Of several
    runs the hours are weighted by their GPUs. Time for which saves hold training up counts as unproductive.
    """

    productive: float
    """GPU-hours, as the others."""
    unproductive: float
    """Starting, saving, holding, and training that was lost."""
    queued: float
    """Waiting in the queue, from being eligible on, times the GPUs that were waited for."""

    @property
    def value(self) -> float | None:
        total = self.productive + self.unproductive + self.queued
        return self.productive / total if total else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """What GPU-hours cost by one kind of price."""

    amount: float
    """In the report's currency."""
    gpu_hours: float
    """The GPU-hours that a price is known for, and that `amount` is for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Energy:
    """Energy of GPUs, from measured power."""

    kwh: float
    """With the overhead of the data centre (PUE), if the file of prices has it."""
    co2_kg: float | None
    """None without a grid factor."""
    gpu_hours: float
    """The GPU-hours that were measured, and that `kwh` is for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """The figures of a group: a run, a user, a QOS, everything."""

    jobs: int = 0
    runs: int = 0
    allocations: int = 0
    gpu_hours: GpuHours = GpuHours()
    cpu_hours: float = 0.0
    """Allocated."""
    queued_hours: float = 0.0
    """All waits together, not weighted."""
    wait_median: float | None = None
    """Seconds, as `wait_p95`."""
    wait_p95: float | None = None
    requeues: Mapping[str, int] = field(default_factory=dict)
    """How often a job was requeued or a run resubmitted itself, by cause."""
    ettr: Ettr | None = None
    """None if no run says what its time was used for."""
    mfu: float | None = None
    """The mean of the runs that know theirs, weighted by GPU-hours."""
    energy: Energy | None = None
    money: Mapping[PriceKind, Money] = field(default_factory=dict)
    """What the same GPU-hours cost by each kind of price; empty without a file of prices."""

    @property
    def goodput(self) -> float | None:
        """The share of the explained GPU-hours that went into steps which were kept.

        This is the "runtime goodput" of Google's ML productivity goodput (Google Cloud blog, "Goodput metric as
        measure of ML productivity", 2024): useful training time over the time in which resources were held.
        """
        hours = self.gpu_hours
        return hours.training / hours.explained if hours.explained else None

    @property
    def explained_share(self) -> float | None:
        """The share of GPU-hours that goodput and ETTR cover."""
        hours = self.gpu_hours
        return hours.explained / hours.allocated if hours.allocated else None

    @property
    def busy_share(self) -> float | None:
        """The share of the measured GPU-hours in which the GPUs were busy."""
        hours = self.gpu_hours
        if hours.busy is None or hours.idle is None or not hours.busy + hours.idle:
            return None
        return hours.busy / (hours.busy + hours.idle)

    @property
    def measured_share(self) -> float | None:
        """The share of GPU-hours that `busy_share` covers."""
        hours = self.gpu_hours
        return (hours.allocated - hours.unmeasured) / hours.allocated if hours.allocated else None
