"""The report on usage as one HTML file, which needs nothing else: no network, no server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from passingloop import __version__
from passingloop.report.html import overview
from passingloop.report.html.document import document
from passingloop.report.html.group_tables import breakdown
from passingloop.report.html.markup import Child, Markup, data_block, element
from passingloop.report.html.quantities import moment, period, zone
from passingloop.report.html.run_views import run_data, run_links, run_view, runs_view, shown_runs
from passingloop.report.html.sections import ABSENCE, section
from passingloop.report.html.summary import key_figures, lead, uses
from passingloop.report.html.sweep_views import sweep_data, sweeps_view
from passingloop.report.usage.content import Report, RunPage

SCRIPTS = (
    "dom.js",
    "theme.js",
    "tables.js",
    "controls.js",
    "charts.js",
    "overview.js",
    "run.js",
    "sweep.js",
    "routes.js",
)
"""In this order, as one script."""


def usage_page(report: Report, offset: timedelta = timedelta()) -> str:
    """The whole file.

    Args:
        offset: of the local time from UTC; all times are given in it.
    """
    runs = shown_runs(report)
    body = [
        _header(report, runs),
        element("main", _views(report, runs, offset), id="content", tabindex="-1"),
        _footer(report, offset),
        data_block("overview-data", overview.chart_data(report, offset)),
        data_block("sweep-data", sweep_data(report.sweeps, run_links(runs))),
        data_block("run-data", run_data(runs, report.prices, offset)),
    ]
    return document(_title(report), body, SCRIPTS)


def _views(report: Report, runs: Sequence[RunPage], offset: timedelta) -> Child:
    links = run_links(runs)
    return [
        element(
            "div",
            element("h1", _title(report), tabindex="-1"),
            lead(report, offset),
            _notes(report),
            key_figures(report),
            overview.utilisation(report, offset),
            section("hours", "Where the GPU-hours went", uses(report.totals))
            if report.totals.gpu_hours.allocated
            else None,
            overview.cost(report),
            overview.searches(report),
            overview.wasters(report, links),
            overview.waits(report),
            overview.requeues(report),
            breakdown(report),
            class_="view",
            id="overview",
            data_title="Overview",
        ),
        runs_view(runs, report, offset),
        run_view(),
        sweeps_view(report.sweeps, links),
    ]


def _title(report: Report) -> str:
    return f"GPU report of {report.cluster}" if report.cluster else "GPU report"


def _header(report: Report, runs: Sequence[RunPage]) -> Markup:
    entries = [
        ("overview", "Overview", None),
        ("runs", "Runs", len(runs)),
        ("sweeps", "Sweeps", len(report.sweeps)),
    ]
    links = [
        element(
            "li",
            element("a", title, element("span", f"{count:,}", class_="count") if count else None, href=f"#{name}"),
        )
        for name, title, count in entries
    ]
    return element(
        "header",
        element("span", "passingloop", class_="brand"),
        element("nav", element("ul", links), aria_label="Pages"),
        element("div", id="theme"),
    )


def _notes(report: Report) -> Child:
    if not report.notes:
        return None
    lines = [element("li", note) for note in report.notes]
    return element("aside", element("ul", lines), class_="notes", aria_label="About the sources")


def _footer(report: Report, offset: timedelta) -> Markup:
    return element(
        "footer",
        element(
            "p",
            f"Made by passingloop {__version__} from Slurm's accounting and run directories: "
            f"{period(report.since, report.until, offset)}, the newest figures of {moment(report.until, offset)}. "
            f"Times are {zone(offset)}. {ABSENCE}",
        ),
        element("p", "Charts: Apache ECharts, under the Apache License 2.0; the licences stand in this file."),
    )
