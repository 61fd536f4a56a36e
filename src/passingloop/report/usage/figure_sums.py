"""Figures from allocations: of all of them, and of groups. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from passingloop.figures import percentile
from passingloop.report.usage.allocation_use import OVERHEAD, USES, Allocation, RunPart, Use
from passingloop.report.usage.content import By, Group
from passingloop.report.usage.prices import UNKNOWN_TYPE, Prices, energy
from passingloop.report.usage.usage_figures import Ettr, Figures, GpuHours

GROUPINGS: tuple[By, ...] = ("run", "experiment", "user", "account", "qos", "node")


@dataclass(slots=True)
class Sums:
    """What is summed up over allocations, and over parts of them. In GPU-seconds, where nothing else is said."""

    job_ids: set[str | None] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    allocations: int = 0
    uses: dict[Use, float] = field(default_factory=lambda: dict.fromkeys(USES, 0.0))
    sampled: float = 0.0
    busy: float = 0.0
    powered: float = 0.0
    joules: float = 0.0
    cpu_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds of wall-clock time."""
    queued: float = 0.0
    """Of runs that say what their time was used for."""
    requeues: Counter[str] = field(default_factory=Counter)
    by_type: dict[str, float] = field(default_factory=dict)
    flops_share: float = 0.0
    """MFU times GPU-seconds of `flops_known`."""
    flops_known: float = 0.0

    def begin(self, allocation: Allocation) -> None:
        """Count an allocation of which something is going to be added."""
        self.allocations += 1
        self.job_ids.add(allocation.job_id)
        if (wait := allocation.wait) is not None:
            self.waits.append(wait)
        if allocation.is_requeued:
            self.requeues[allocation.cause or "unknown"] += 1

    def add(self, allocation: Allocation, part: RunPart | None, weight: float, mfu: Mapping[str, float]) -> None:
        """Add `weight` times a part of an allocation; None is all of one that no run directory tells of."""
        gpus = (allocation.gpus or 0.0) * weight
        seconds = sum(part.seconds.values()) if part else allocation.seconds
        self.by_type[allocation.gpu_type or UNKNOWN_TYPE] = (
            self.by_type.get(allocation.gpu_type or UNKNOWN_TYPE, 0.0) + gpus * seconds
        )
        self.cpu_seconds += (allocation.cpus or 0) * seconds * weight
        if part is None:
            self.uses["unexplained"] += gpus * seconds
            return
        self.runs.add(part.run)
        for use, spent in part.seconds.items():
            self.uses[use] += gpus * spent
        if part.busy is not None:
            self.sampled += gpus * part.sampled
            self.busy += gpus * part.sampled * part.busy
        if part.power is not None:
            self.powered += gpus * part.sampled
            self.joules += gpus * part.sampled * part.power
        if (wait := allocation.wait) is not None and allocation.seconds:
            self.queued += gpus * wait * seconds / allocation.seconds
        if part.run in mfu:
            self.flops_share += mfu[part.run] * gpus * seconds
            self.flops_known += gpus * seconds

    def figures(self, prices: Prices | None) -> Figures:
        hours: dict[str, float] = {use: spent / 3600 for use, spent in self.uses.items()}
        allocated = sum(hours.values())
        sampled, busy = self.sampled / 3600, self.busy / 3600
        measured = {"busy": busy, "idle": sampled - busy} if sampled else {}
        unproductive = sum(hours[use] for use in OVERHEAD)
        explained = hours["training"] + unproductive
        return Figures(
            jobs=len(self.job_ids - {None}),
            runs=len(self.runs),
            allocations=self.allocations,
            gpu_hours=GpuHours(allocated=allocated, unmeasured=allocated - sampled, **hours, **measured),
            cpu_hours=self.cpu_seconds / 3600,
            queued_hours=sum(self.waits) / 3600,
            wait_median=percentile(self.waits, 0.5) if self.waits else None,
            wait_p95=percentile(self.waits, 0.95) if self.waits else None,
            requeues=dict(self.requeues.most_common()),
            ettr=Ettr(productive=hours["training"], unproductive=unproductive, queued=self.queued / 3600)
            if explained
            else None,
            mfu=self.flops_share / self.flops_known if self.flops_known else None,
            energy=energy(self.joules, self.powered / 3600, prices) if self.powered else None,
            money=prices.money({kind: spent / 3600 for kind, spent in self.by_type.items()}) if prices else {},
        )


def totals(allocations: Iterable[Allocation], prices: Prices | None, mfu: Mapping[str, float]) -> Figures:
    """The figures of all allocations.

    Args:
        mfu: of the runs that know it.
    """
    sums = Sums()
    for allocation in allocations:
        sums.begin(allocation)
        for part in allocation.parts or (None,):
            sums.add(allocation, part, 1.0, mfu)
    return sums.figures(prices)


def groups(
    allocations: Iterable[Allocation], by: By, prices: Prices | None, mfu: Mapping[str, float]
) -> tuple[Group, ...]:
    """The figures of each group, the one with the most GPU-hours first, then by its CPU-hours and name."""
    found: dict[str, Sums] = {}
    for allocation in allocations:
        begun = set()
        for name, part, weight in pieces(allocation, by):
            sums = found.get(name) or found.setdefault(name, Sums())
            if name not in begun:
                begun.add(name)
                sums.begin(allocation)
            sums.add(allocation, part, weight, mfu)
    made = [Group(name=name, figures=sums.figures(prices)) for name, sums in found.items()]
    return tuple(sorted(made, key=_size))


def _size(group: Group) -> tuple[float, float, str]:
    return -group.figures.gpu_hours.allocated, -group.figures.cpu_hours, group.name


def pieces(allocation: Allocation, by: By) -> Iterator[tuple[str, RunPart | None, float]]:
    """The groups that an allocation belongs to, each with the part of it, and the weight, that belongs to it.

    On several nodes it is the same on each of them.
    """
    parts: tuple[RunPart | None, ...] = allocation.parts or (None,)
    if by == "node":
        for node in allocation.nodes:
            yield from ((node, part, 1 / len(allocation.nodes)) for part in parts)
    elif by in ("run", "experiment"):
        yield from ((part.run if by == "run" else part.experiment, part, 1.0) for part in allocation.parts)
    else:
        names = {"user": allocation.user, "account": allocation.account, "qos": allocation.qos}
        yield from ((names[by] or "", part, 1.0) for part in parts)
