"""The sections of the overview: use over time, waits, requeues, cost, sweeps with rungs, and who wasted most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import groupby
from statistics import fmean
from typing import Any

from passingloop.report.html.group_tables import duration_cell, wait_cells
from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import ABSENT, day, mean, number, share, significant
from passingloop.report.html.sections import chart, folded, section
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.html.summary import legend, sentence
from passingloop.report.usage.content import Advice, Report, Sweep, Timeline, Waster
from passingloop.report.usage.usage_figures import PRICE_NAMES

NO_QOS = "no QOS"
FEW_WASTERS = 6
"""Those that are shown at first where scripts run."""

MAX_BUCKETS = 200
"""Points of a chart over time."""

SERIES = 6
"""QOS that have a colour of their own in the chart; the smallest are added up."""


def utilisation(report: Report, offset: timedelta) -> Child:
    """GPUs over time by QOS, and how many were busy: a chart, and its days as a table."""
    series = qos_series(report.timeline)
    if not series:
        return None
    busiest = max(map(sum, zip(*series.values(), strict=True)))
    about = f"GPUs held over time, by QOS. At most {number(busiest, 'GPUs')} were held at once."
    has_busy = any(value is not None for value in report.timeline.busy)
    return section(
        "utilisation",
        "GPUs over time",
        element(
            "p", "Mean number of GPUs that jobs held, by QOS", "; the line is how many were busy." if has_busy else "."
        ),
        legend(list(series)),
        chart("utilisation-chart", about),
        folded("The days as a table", _days(report.timeline, series, offset)),
    )


def waits(report: Report) -> Child:
    """How long jobs waited: over time as a chart, and by QOS."""
    rows = [
        [text_cell(group.name or NO_QOS), number_cell(group.figures.jobs), *wait_cells(group.figures)]
        for group in report.groups.get("qos", ())
    ]
    if report.totals.wait_median is None:
        return None
    columns = [Column("QOS", is_text=True), Column("Jobs"), Column("Wait", "median"), Column("Wait", "95 %")]
    about = "Jobs that waited over time, and the median wait of those that started. The table gives waits by QOS."
    return section(
        "waits",
        "Waits",
        element("p", "How many jobs waited for their turn, and how long those waited that started."),
        chart("waits-chart", about, "small") if any(report.timeline.waiting) else None,
        table("Waits by QOS", columns, rows, identity="waits-by-qos"),
    )


def requeues(report: Report) -> Child:
    """How often jobs were interrupted, and by what."""
    causes = sorted(report.totals.requeues.items(), key=lambda pair: -pair[1])
    if not causes:
        return None
    whole = sum(count for _, count in causes)
    columns = [Column("Cause", is_text=True), Column("Requeues"), Column("Share")]
    rows = [
        [text_cell(cause.replace("_", " ")), number_cell(count), share_cell(count / whole, bar=True)]
        for cause, count in causes
    ]
    return section(
        "requeues",
        "Interruptions",
        element("p", "How often a job was requeued, or a run submitted itself again."),
        table("Requeues by cause", columns, rows, identity="requeues-by-cause", sorted_by=1, all_rows=True),
    )


def cost(report: Report) -> Child:
    """What the work cost, and what it would cost elsewhere."""
    prices, money = report.prices, report.totals.money
    if not prices or not money:
        return None
    allocated = report.totals.gpu_hours.allocated
    here = money.get(prices.here)
    columns = [
        Column("Price", is_text=True),
        Column("Amount", prices.currency),
        Column("Per GPU-hour", prices.currency),
        Column("Compared", "with here"),
        Column("GPU-hours", "with a price"),
    ]
    rows = []
    for kind, sum_ in sorted(money.items(), key=lambda pair: pair[0] != prices.here):
        mark = " (paid here)" if kind == prices.here else ""
        rate = sum_.amount / sum_.gpu_hours if sum_.gpu_hours else None
        home = here.amount / here.gpu_hours if here and here.gpu_hours else None
        ratio = rate / home if rate is not None and home else None
        rows.append(
            [
                Cell(PRICE_NAMES[kind] + mark, kind),
                number_cell(sum_.amount),
                number_cell(rate),
                Cell(f"{ratio:.2f} ×" if ratio is not None else ABSENT, ratio),
                share_cell(sum_.gpu_hours / allocated if allocated else None),
            ]
        )
    source = f"Prices of {prices.date}: {prices.source}."
    return section(
        "cost",
        "Cost",
        element("p", "What the GPU-hours cost here, and what the same GPU-hours cost elsewhere."),
        table("Cost by kind of price", columns, rows, identity="cost-by-price", all_rows=True),
        element("p", source, class_="source"),
    )


def searches(report: Report) -> Child:
    """The sweeps that stop poor points early: how many points came how far. Each has a page, which is linked."""
    rows = [_search_row(index, sweep) for index, sweep in enumerate(report.sweeps) if sweep.rungs]
    if not rows:
        return None
    columns = [
        Column("Experiment", is_text=True),
        Column("Points"),
        Column("From rung to rung", is_text=True),
        Column("Failed"),
        Column("Compared by", is_text=True),
        Column("Best", "at the highest rung"),
    ]
    return section(
        "searches",
        "Sweeps that stop early",
        element(
            "p", "How many points trained to each rung. The best go on to the next; the last is the end of training."
        ),
        table("Sweeps by their rungs", columns, rows, identity="searches-by-rung", all_rows=True),
    )


def wasters(report: Report, links: Mapping[str, str]) -> Child:
    """The runs that brought least for their GPUs, and what to do about it."""
    if not report.wasters:
        return None
    return section(
        "wasters",
        "What to improve first",
        element("p", "Runs, by the GPU-hours that brought them no nearer to their end."),
        element("ol", [_waster(waster, links) for waster in report.wasters], class_="wasters", data_few=FEW_WASTERS),
    )


def chart_data(report: Report, offset: timedelta) -> dict[str, Any]:
    """What the charts of the overview draw."""
    timeline = coarser(report.timeline)
    return {
        "offset": offset.total_seconds(),
        "seconds": timeline.seconds,
        "starts": [round(start) for start in timeline.starts],
        "gpus": {name: [significant(value) for value in values] for name, values in qos_series(timeline).items()},
        "busy": [significant(value) for value in timeline.busy],
        "waits": [significant(value) for value in timeline.waits],
        "waiting": [significant(value) for value in timeline.waiting],
    }


def coarser(timeline: Timeline) -> Timeline:
    """With so few buckets that a chart of them is calm: each is the mean of several."""
    count = len(timeline.starts)
    each = max(1, math.ceil(count / MAX_BUCKETS))
    parts = [slice(start, start + each) for start in range(0, count, each)]
    return Timeline(
        seconds=timeline.seconds * each,
        starts=timeline.starts[::each],
        gpus={name: tuple(fmean(values[part]) for part in parts) for name, values in timeline.gpus.items()},
        busy=tuple(mean(timeline.busy[part]) for part in parts),
        waits=tuple(mean(timeline.waits[part]) for part in parts),
        waiting=tuple(fmean(timeline.waiting[part]) for part in parts),
    )


def qos_series(timeline: Timeline) -> dict[str, tuple[float, ...]]:
    """GPUs by QOS, the largest first; the smallest are one series if there are many."""
    ranked = sorted(timeline.gpus.items(), key=lambda pair: -sum(pair[1]))
    series = {name or NO_QOS: values for name, values in ranked if any(values)}
    if len(series) <= SERIES:
        return series
    names = list(series)
    rest = zip(*(series[name] for name in names[SERIES - 1 :]), strict=True)
    return {name: series[name] for name in names[: SERIES - 1]} | {"others": tuple(sum(values) for values in rest)}


def _search_row(index: int, sweep: Sweep) -> list[Cell]:
    best = next((rung.best for rung in reversed(sweep.rungs) if rung.best is not None), None)
    return [
        Cell(element("a", sweep.name, href=f"#sweep/{index + 1}"), sweep.name.lower()),
        number_cell(sweep.rungs[0].told),
        text_cell(" → ".join(f"{rung.told:,}" for rung in sweep.rungs)),
        number_cell(sum(rung.failed for rung in sweep.rungs)),
        text_cell(sweep.compared_by or ABSENT),
        Cell(f"{best:.4g}", best) if best is not None else Cell(ABSENT),
    ]


def _days(timeline: Timeline, series: Mapping[str, tuple[float, ...]], offset: timedelta) -> Markup:
    """The means of each day."""
    columns = [Column("Day", is_text=True), *(Column(name, "GPUs") for name in series)]
    columns += [Column("Busy", "GPUs"), Column("Waiting", "jobs"), Column("Wait", "median")]
    rows = []
    for name, indices in groupby(range(len(timeline.starts)), key=lambda index: day(timeline.starts[index], offset)):
        at = list(indices)
        rows.append(
            [
                Cell(name, timeline.starts[at[0]]),
                *(number_cell(mean([values[index] for index in at])) for values in series.values()),
                number_cell(mean([timeline.busy[index] for index in at])),
                number_cell(mean([timeline.waiting[index] for index in at])),
                duration_cell(mean([timeline.waits[index] for index in at])),
            ]
        )
    return table("GPUs by day", columns, rows, identity="days", all_rows=True)


def _waster(waster: Waster, links: Mapping[str, str]) -> Markup:
    name: Child = waster.name
    if waster.name in links:
        name = element("a", waster.name, href=f"#{links[waster.name]}")
    facts = [waster.user, waster.qos or NO_QOS, f"job {waster.job_id}" if waster.job_id else "in a shell"]
    part = share(waster.wasted / waster.gpu_hours) if waster.gpu_hours else ABSENT
    return element(
        "li",
        element("h3", name),
        element("p", " · ".join(facts), class_="aside"),
        element(
            "p", element("strong", number(waster.wasted, "GPU-h")), f" of {number(waster.gpu_hours)} wasted, {part}"
        ),
        _advice_list(waster.advice),
    )


def _advice_list(said: Iterable[Advice]) -> Child:
    lines = [element("li", sentence(advice.sentence)) for advice in said]
    return element("ul", lines, class_="advice") if lines else None
