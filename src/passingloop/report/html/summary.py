"""The beginning of the report: what happened in two sentences, the key figures, and where the GPU-hours went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from passingloop.pending.wording import count_text
from passingloop.report.html.markup import Child, Markup, element
from passingloop.report.html.quantities import SPACE, duration, number, period, share
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table
from passingloop.report.usage.allocation_use import USES, Use
from passingloop.report.usage.content import PriceNote, Report
from passingloop.report.usage.usage_figures import PRICE_NAMES, Figures

USE_NAMES: dict[Use, tuple[str, str]] = {
    "training": ("Training that was kept", "steps and evaluations"),
    "starting": ("Starting", "from the start of a process to its first step"),
    "saving": ("Saving", "training held up by a checkpoint or the export"),
    "lost_to_preemption": ("Lost to preemption", "steps after the last checkpoint; time limits as well"),
    "lost_to_failure": ("Lost to failure", "steps after the last checkpoint"),
    "holding": ("Waiting with GPUs", "the job held them, and no attempt used them"),
    "unexplained": ("Unknown", "jobs that are no runs, and runs that do not say"),
}
"""What each use is called, and what is meant."""


def lead(report: Report, offset: timedelta) -> Markup:
    """What a reader who reads nothing else should know."""
    totals, hours = report.totals, report.totals.gpu_hours
    users = len(report.groups.get("user", ()))
    where = f" on {report.cluster}" if report.cluster else ""
    when = period(report.since, report.until, offset)
    if not hours.allocated:
        without = f" {count_text(totals.runs, 'run')} trained without one." if totals.runs else ""
        return element("p", f"From {when}, no job{where} held a GPU.{without}", class_="lead")
    sentences = [
        f"From {when}, {count_text(users, 'user')} held GPUs{where} for ",
        element("strong", number(hours.allocated, "GPU-hours")),
        f" in {count_text(totals.jobs, 'job')}. ",
    ]
    if totals.busy_share is not None:
        known = totals.measured_share or 0
        part = "" if known > 0.995 else f", as far as they were measured ({share(known)} of the hours)"
        sentences += ["The GPUs were busy ", element("strong", share(totals.busy_share)), f" of that time{part}. "]
    if hours.wasted:
        wasted = number(hours.wasted, "GPU-hours")
        part = f" ({share(hours.wasted / hours.allocated)}){_worth(totals, hours.wasted, report.prices)}"
        sentences += ["At least ", element("strong", wasted), part, " brought no run forward. "]
    if totals.wait_median is not None:
        sentences += [
            f"Half of the jobs started within {duration(totals.wait_median)}",
            f", 95{SPACE}% within {duration(totals.wait_p95)}." if totals.wait_p95 is not None else ".",
        ]
    return element("p", sentences, class_="lead")


def key_figures(report: Report) -> Markup:
    """The totals, each with what it means."""
    tiles = [
        element(
            "div",
            element("dt", title),
            element("dd", figure_value(value), class_="value"),
            element("dd", note, class_="note"),
        )
        for title, value, note in _tiles(report)
    ]
    return element("dl", tiles, class_="tiles")


def figure_tiles(figures: Figures, prices: PriceNote | None) -> Iterator[tuple[str, str, str]]:
    """Title, value and note of the figures of a group or a run."""
    hours = figures.gpu_hours
    if not hours.allocated:
        yield "CPU-hours", number(figures.cpu_hours or None), "allocated; no GPUs"
        return
    yield "GPU-hours", number(hours.allocated), "allocated"
    measured = figures.measured_share
    known = f"measured on {share(measured)} of the hours" if measured else "nothing was measured"
    yield "GPUs busy", share(figures.busy_share), known
    covers = f"covers {share(figures.explained_share)}" if figures.explained_share else "no run says"
    yield "Goodput", share(figures.goodput), f"held time that went into kept steps; {covers}"
    yield "ETTR", share(figures.ettr.value if figures.ettr else None), "kept steps, of held and queued time"
    yield "Wasted", number(hours.wasted, "GPU-h"), "at least; idle, or lost, starting, saving, waiting"
    if prices and (money := figures.money.get(prices.here)):
        yield (
            "Cost",
            number(money.amount, prices.currency),
            f"{PRICE_NAMES[prices.here]}; {_covered(money.gpu_hours, figures)}",
        )
    if figures.energy:
        co2 = f"{number(figures.energy.co2_kg, 'kg')} CO₂" if figures.energy.co2_kg is not None else "no grid factor"
        yield "Energy", number(figures.energy.kwh, "kWh"), f"{co2}; {_covered(figures.energy.gpu_hours, figures)}"
    if figures.mfu is not None:
        yield "MFU", share(figures.mfu), "of the GPUs' peak, where runs know it"


def sentence(words: str) -> str:
    """Advice as a sentence; in the terminal it is an item of a list."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def uses(figures: Figures) -> Markup:
    """Where the GPU-hours went: a bar of parts, and the same as a table."""
    whole = figures.gpu_hours.allocated
    parts = [(use, getattr(figures.gpu_hours, use)) for use in USES]
    if not whole:
        return Markup()
    bar, start = [], 0.0
    for use, hours in parts:
        width = 100 * hours / whole
        title = element("title", f"{USE_NAMES[use][0]}: {number(hours, 'GPU-hours')}, {share(hours / whole)}")
        x, span = f"{start:.2f}%", f"{width:.2f}%"
        bar.append(element("g", title, element("rect", x=x, width=span, height="100%", class_=f"use-{use}")))
        start += width
    rows = [
        [
            Cell([_swatch(f"use-{use}"), name, element("span", note, class_="aside")], name.lower()),
            number_cell(hours),
            share_cell(hours / whole),
        ]
        for use, hours in parts
        for name, note in [USE_NAMES[use]]
        if hours or use == "training"
    ]
    columns = [Column("Use", is_text=True), Column("GPU-hours"), Column("Share")]
    return element(
        "div",
        element("svg", bar, class_="parts", width="100%", height="28", aria_hidden="true"),
        table("GPU-hours by use", columns, rows, identity="uses", all_rows=True),
    )


def legend(names: list[str], first: int = 1) -> Markup:
    """The names of series, each with its colour."""
    entries = [element("li", _swatch(f"series-{index}"), name) for index, name in enumerate(names, start=first)]
    return element("ul", entries, class_="legend")


def _tiles(report: Report) -> Iterator[tuple[str, str, str]]:
    totals = report.totals
    yield from figure_tiles(totals, report.prices)
    wait = f"median; 95{SPACE}% within {duration(totals.wait_p95)}" if totals.wait_p95 is not None else "no job started"
    yield "Wait", duration(totals.wait_median), wait
    yield "Requeues", number(sum(totals.requeues.values())), f"of {count_text(totals.jobs, 'job')}"


def figure_value(words: str) -> Child:
    """A figure with its unit in small letters."""
    value, _, unit = words.partition(SPACE)
    return [value, element("span", f"{SPACE}{unit}", class_="small-unit")] if unit else value


def _swatch(kind: str) -> Markup:
    return element(
        "svg", element("rect", width="100%", height="100%", class_=kind), class_="swatch", aria_hidden="true"
    )


def _covered(gpu_hours: float, figures: Figures) -> str:
    """How much of the GPU-hours a figure is for."""
    part = gpu_hours / figures.gpu_hours.allocated if figures.gpu_hours.allocated else 0.0
    return "for all GPU-hours" if part > 0.995 else f"for {share(part)} of the GPU-hours"


def _worth(totals: Figures, wasted: float, prices: PriceNote | None) -> str:
    """What the wasted hours cost, at the mean price of an hour."""
    money = totals.money.get(prices.here) if prices else None
    if not prices or not money or not money.gpu_hours:
        return ""
    return f", worth about {number(wasted * money.amount / money.gpu_hours, prices.currency)},"
