"""Who used what: a table for each way to group what jobs and runs used."""

from __future__ import annotations

from passingloop.report.html.markup import Child, element
from passingloop.report.html.quantities import duration
from passingloop.report.html.sections import section
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.usage.content import By, Group, Report
from passingloop.report.usage.usage_figures import Figures

MAX_GROUPS = 500
"""Rows of a table of groups; the rest is counted."""

GROUPS: dict[By, tuple[str, str]] = {
    "user": ("User", "Users"),
    "account": ("Account", "Accounts"),
    "qos": ("QOS", "QOS"),
    "experiment": ("Experiment", "Experiments"),
    "node": ("Node", "Nodes"),
}
"""The groups that have a table. Runs have a page of their own."""


def breakdown(report: Report) -> Child:
    """A table for each way to group."""
    panels = []
    for by, (one, many) in GROUPS.items():
        groups = report.groups.get(by, ())
        if groups:
            panels.append(element("div", _group_table(by, one, many, groups, report), class_="panel", data_title=many))
    if not panels:
        return None
    return section("groups", "Who used what", element("div", panels, class_="panels", data_label="Grouped by"))


def wait_cells(figures: Figures) -> list[Cell]:
    """The median wait, and that of 95 %."""
    return [duration_cell(figures.wait_median), duration_cell(figures.wait_p95)]


def duration_cell(seconds: float | None) -> Cell:
    return Cell(duration(seconds), seconds)


def _group_table(by: By, one: str, many: str, groups: tuple[Group, ...], report: Report) -> Child:
    has_energy = any(group.figures.energy for group in groups)
    currency = report.prices.currency if report.prices else None
    columns = [
        Column(one, is_text=True),
        Column("GPU-hours"),
        Column("Busy"),
        Column("Goodput"),
        Column("ETTR"),
        Column("Wasted", "GPU-h"),
        Column("Wait", "median"),
        Column("Wait", "95 %"),
        Column("Jobs"),
        Column("Requeues"),
        *([Column("Energy", "kWh")] if has_energy else []),
        *([Column("Cost", currency)] if currency else []),
    ]
    rows = [_group_row(group, report, has_energy=has_energy) for group in groups[:MAX_GROUPS]]
    left = len(groups) - MAX_GROUPS
    return [
        table(f"{many}, by GPU-hours", columns, rows, identity=f"by-{by}", sorted_by=1),
        element("p", f"{left:,} smaller ones are left out.", class_="source") if left > 0 else None,
    ]


def _group_row(group: Group, report: Report, *, has_energy: bool) -> list[Cell]:
    figures = group.figures
    cells = [
        text_cell(group.name or "none"),
        number_cell(figures.gpu_hours.allocated),
        share_cell(figures.busy_share, bar=True),
        share_cell(figures.goodput, bar=True),
        share_cell(figures.ettr.value if figures.ettr else None),
        number_cell(figures.gpu_hours.wasted),
        *wait_cells(figures),
        number_cell(figures.jobs),
        number_cell(sum(figures.requeues.values())),
    ]
    if has_energy:
        cells.append(number_cell(figures.energy.kwh if figures.energy else None))
    if report.prices:
        money = figures.money.get(report.prices.here)
        cells.append(number_cell(money.amount if money else None))
    return cells
