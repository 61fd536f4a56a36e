"""Makes the report on usage: reads accounting and run directories, and sums up."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passingloop.errors import MissingError, SlurmRefused
from passingloop.report.usage.advice import advice
from passingloop.report.usage.allocation_use import Allocation
from passingloop.report.usage.content import Advice, By, Group, Report, Waster
from passingloop.report.usage.figure_sums import GROUPINGS, groups, totals
from passingloop.report.usage.prices import Prices
from passingloop.report.usage.timeline import timeline
from passingloop.report.usage.usage_figures import Figures
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.slurm.job_records import JobRecord, job_records
from passingloop.text import list_excerpt, printable
from passingloop.usage.advice_facts import run_facts
from passingloop.usage.joining import joined
from passingloop.usage.run_pages import run_page, sweeps
from passingloop.usage.run_records import UNREADABLE, RunRecord, read_run, run_directories

MAX_WASTERS = 20

LEAST_WASTE = 0.05
"""GPU-hours below which nobody is called a waster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be reported."""

    since: float
    """Seconds since the epoch, as `until`."""
    until: float
    run_root: Path
    user: str | None = None
    """None: all users, as far as we may see what they have done."""
    prices: Prices | None = None
    with_accounting: bool = True
    runs_with_curves: int = 0
    """Of how many runs, those with the most GPU-hours, the pages have curves. Metrics and samples are read for them,
    which takes longer than all the rest."""


@dataclass(slots=True)
class Sources:
    """What was read, and what could not be."""

    records: list[JobRecord]
    runs: list[RunRecord]
    notes: list[str]
    has_accounting: bool
    """Whether Slurm's accounting has answered."""

    def allocations(self, request: Request) -> list[Allocation]:
        """What jobs and runs held in the period."""
        return joined(self.records, self.runs, request.since, request.until, _shards_per_gpu(self.records))

    def utilization(self) -> dict[str, float]:
        """The MFU of the runs that know theirs, by run."""
        return {run.name: run.mfu for run in self.runs if run.mfu is not None}


def usage_report(request: Request) -> Report:
    """The report. A source that does not answer is left out, with a note."""
    sources = read_sources(request)
    allocations = sources.allocations(request)
    if unknown := sum(allocation.gpus is None for allocation in allocations):
        sources.notes.append(
            f"{unknown} allocations are left out of all GPU-hours: it is not known how many GPUs, or which part of "
            "one, they had."
        )
    by_run: dict[str, list[Allocation]] = defaultdict(list)
    for allocation in allocations:
        for part in allocation.parts:
            by_run[part.run].append(allocation)
    runs = [run for run in sources.runs if run.name in by_run]
    siblings = Counter(run.experiment for run in runs)
    said = {run.name: advice(run_facts(run, by_run[run.name], siblings[run.experiment])) for run in runs}
    mfu = sources.utilization()
    grouped: dict[By, tuple[Group, ...]] = {by: groups(allocations, by, request.prices, mfu) for by in GROUPINGS}
    figures = {group.name: group.figures for group in grouped["run"]}
    newest = sorted(runs, key=lambda run: -run.created)
    hours = {name: each.gpu_hours.allocated for name, each in figures.items()}
    largest = {run.name for run in sorted(runs, key=lambda run: -hours[run.name])[: request.runs_with_curves]}
    pages = (run_page(run, figures[run.name], said[run.name], with_curves=run.name in largest) for run in newest)
    return Report(
        since=request.since,
        until=request.until,
        cluster=next((record.cluster for record in sources.records), None),
        totals=totals(allocations, request.prices, mfu),
        groups=grouped,
        timeline=timeline(allocations, request.since, request.until),
        wasters=_wasters(by_run, runs, figures, said),
        runs=tuple(pages),
        sweeps=tuple(sweeps(sorted(runs, key=lambda run: run.created), hours)),
        prices=request.prices.note if request.prices else None,
        notes=tuple(sources.notes),
    )


def advice_on(record: RunRecord, until: float) -> tuple[Advice, ...]:
    """Advice on one run from its directory alone."""
    return advice(run_facts(record, joined([], [record], 0.0, until, {})))


def read_sources(request: Request) -> Sources:
    """Read accounting and run directories. A source that does not answer is left out, with a note."""
    notes: list[str] = []
    records: list[JobRecord] = []
    has_accounting = False
    if request.with_accounting:
        try:
            records += job_records(request.since, request.until, request.user)
            has_accounting = True
        except (MissingError, SlurmRefused) as error:
            part = "only in part" if records else "not"
            notes.append(f"Slurm's accounting could {part} be read, so jobs that are no runs are missing: {error}")
    try:
        os.scandir(request.run_root).close()
    except OSError as error:
        notes.append(
            f"The folder of runs {request.run_root} cannot be read ({error.strerror}), so it is not known what "
            "GPU-hours were used for. --run-root or PASSINGLOOP_RUN_ROOT names another folder."
        )
    runs, unreadable = [], []
    for run in run_directories(request.run_root):
        try:
            if read := read_run(run, request.since, request.until, request.user):
                runs.append(read)
        except UNREADABLE:
            unreadable.append(run.short_name)
    if unreadable:
        named = list_excerpt([printable(name) for name in unreadable], 3)
        notes.append(f"These runs are left out, as their directories cannot be read: {named}.")
    return Sources(records, runs, notes, has_accounting)


def _shards_per_gpu(records: Iterable[JobRecord]) -> dict[str, float]:
    """By partition, how many shards stand for a GPU; asked for only if a job had some."""
    if not any(record.shards for record in records):
        return {}
    try:
        partitions = cluster_facts().partitions
    except MissingError:
        return {}
    nodes = {name: [node for node in each.nodes if node.shards and node.gpus] for name, each in partitions.items()}
    return {
        name: sum(node.shards for node in members) / sum(node.gpus for node in members)
        for name, members in nodes.items()
        if members
    }


def _wasters(
    by_run: Mapping[str, Sequence[Allocation]],
    runs: Sequence[RunRecord],
    figures: Mapping[str, Figures],
    said: Mapping[str, tuple[Advice, ...]],
) -> tuple[Waster, ...]:
    """The runs that wasted most."""
    found = []
    for run in runs:
        hours, newest = figures[run.name].gpu_hours, by_run[run.name][-1]
        if hours.wasted >= LEAST_WASTE:
            found.append(
                Waster(
                    name=run.name,
                    job_id=newest.job_id,
                    user=run.user,
                    qos=newest.qos,
                    gpu_hours=hours.allocated,
                    wasted=hours.wasted,
                    advice=said[run.name],
                )
            )
    return tuple(sorted(found, key=lambda waster: -waster.wasted)[:MAX_WASTERS])
