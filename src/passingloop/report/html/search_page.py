"""A sweep as one HTML file: the best point first, then the rungs, what was tried, and the points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from passingloop.report.html.document import document
from passingloop.report.html.markup import Child, Markup, data_block, element
from passingloop.report.html.quantities import ABSENT, duration, number, share, significant
from passingloop.report.html.sections import chart, page_footer, page_header, section, tiles
from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell
from passingloop.report.html.sweep_views import parallel
from passingloop.report.search.search_content import Rung, SearchPoint, SearchProgress, is_value, setting_word
from passingloop.report.search.search_tables import best_sentence, cost_sentence, headline, standing_words
from passingloop.report.usage.content import Sweep, SweepPoint

SCRIPTS = ("dom.js", "theme.js", "tables.js", "controls.js", "charts.js", "sweep.js", "search.js")

HOUR = 3600.0


def search_page(progress: SearchProgress) -> str:
    """The whole file."""
    body = [
        page_header(),
        element("main", _content(progress), id="content", tabindex="-1"),
        page_footer("from the ledger of the sweep and the directories of its runs."),
        data_block("search-data", chart_data(progress)),
        data_block("sweep-data", [_coordinates(progress)]),
    ]
    return document(f"Sweep {progress.name}", body, SCRIPTS)


def chart_data(progress: SearchProgress) -> dict[str, Any]:
    """The values of all points at the rungs, the best point last so that its line is on top."""
    return {
        "metric": progress.metric,
        "rungs": [f"rung {rung.number + 1}, {share(rung.fraction)}" for rung in progress.rungs],
        "lines": [
            {
                "run": point.run,
                "values": [significant(point.values.get(rung.number)) for rung in progress.rungs],
                "best": point is progress.best,
                "whole": point.reached == len(progress.rungs) - 1,
            }
            for point in reversed(progress.points)
            if point.reached >= 0
        ],
    }


def _content(progress: SearchProgress) -> Child:
    has_rungs = len(progress.rungs) > 1
    return [
        element("h1", f"Sweep {progress.name}", tabindex="-1"),
        element("p", best_sentence(progress), class_="lead"),
        _notes(progress),
        tiles(_tiles(progress)),
        _rungs(progress) if has_rungs else None,
        _tried(progress),
    ]


def _notes(progress: SearchProgress) -> Markup:
    said = filter(None, [headline(progress), *progress.waits, cost_sentence(progress.cost)])
    return element(
        "aside", element("ul", [element("li", line) for line in said]), class_="notes", aria_label="About the sweep"
    )


def _tiles(progress: SearchProgress) -> Iterator[tuple[str, str, str]]:
    """Title, value, and a note."""
    cost, points = progress.cost, progress.points
    yield "Points", number(len(points)), f"{sum(point.rung is not None for point in points)} have begun"
    whole = sum(point.reached == len(progress.rungs) - 1 for point in points)
    yield "Trained to the end", number(whole), f"{share(whole / len(points))} of the points" if points else ""
    if cost.gpu_hours:
        full = f"{number(cost.full_gpu_hours)} for the full grid" if cost.full_gpu_hours else ""
        yield "GPU-hours", number(cost.gpu_hours), full
    else:
        full = f"{duration(HOUR * cost.full_hours)} for the full grid" if cost.full_hours else ""
        yield "Time", duration(HOUR * cost.hours), full
    if cost.share is not None:
        yield "Of the full grid", share(cost.share), "estimated by the time of steps"


def _rungs(progress: SearchProgress) -> Markup:
    columns = [
        Column("Rung"),
        Column("Trains to"),
        Column("Step"),
        *(Column(title) for title in ("Points", "Done", "Go on", "Train", "Wait", "Stopped", "Failed")),
        Column("Best", progress.metric or ""),
    ]
    return section(
        "rungs",
        "Rungs",
        element(
            "p",
            "A line is a point, from rung to rung; the thick one is the best. Points that trained to the end are in "
            "colour.",
        ),
        chart("rungs-chart", f"{progress.metric} of each point at the rungs. The tables below have the values."),
        table(
            "What the points do at each rung",
            columns,
            [_rung_row(rung, len(progress.rungs)) for rung in progress.rungs],
            identity="rung-table",
            all_rows=True,
        ),
    )


def _rung_row(rung: Rung, rungs: int) -> list[Cell]:
    counts = [rung.counts.get(kind, 0) for kind in ("trains", "waits", "stopped")]
    return [
        Cell(f"{rung.number + 1} of {rungs}", rung.number),
        share_cell(rung.fraction),
        number_cell(rung.step),
        number_cell(rung.told),
        number_cell(len(rung.values)),
        number_cell(rung.went_on) if rung.number < rungs - 1 else Cell(ABSENT),
        *(number_cell(count) for count in counts),
        number_cell(rung.failed),
        _value_cell(rung.best),
    ]


def _tried(progress: SearchProgress) -> Markup:
    axes = ", ".join([*progress.parameters, progress.metric or ""]).rstrip(", ")
    columns = [
        Column("Run", is_text=True),
        *(Column(key, is_text=not _is_numeric(progress, key)) for key in progress.parameters),
        Column("Rung"),
        Column(progress.metric or "Value"),
        Column("Step"),
        Column("GPU-hours"),
        Column("Is", is_text=True),
    ]
    return section(
        "points",
        "Points",
        element(
            "p",
            "A line is a point, with its settings and its newest value; the thick one is the best. Drag along an axis "
            "to choose points.",
            class_="scripted",
        ),
        chart(
            "sweep-1-chart", f"Parallel coordinates of the points over {axes}. The table has the values.", "parallel"
        ),
        table(
            "Points, the best first",
            columns,
            [_point_row(point, progress) for point in progress.points],
            identity="sweep-1-runs",
            all_rows=True,
        ),
    )


def _point_row(point: SearchPoint, progress: SearchProgress) -> list[Cell]:
    settings = [point.settings.get(key) for key in progress.parameters]
    rung = f"{point.reached + 1} of {len(progress.rungs)}" if point.reached >= 0 else ABSENT
    return [
        text_cell(point.run),
        *(
            Cell(setting_word(value), value if isinstance(value, int | float) else setting_word(value))
            for value in settings
        ),
        Cell(rung, point.reached if point.reached >= 0 else None),
        _value_cell(point.value),
        number_cell(point.step),
        number_cell(point.gpu_hours),
        text_cell(standing_words(point, progress)),
    ]


def _value_cell(value: float | None) -> Cell:
    return Cell(format(value, ".4g"), value) if value is not None and is_value(value) else Cell(ABSENT)


def _is_numeric(progress: SearchProgress, key: str) -> bool:
    values = [point.settings.get(key) for point in progress.points]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _coordinates(progress: SearchProgress) -> dict[str, Any]:
    """The parallel coordinates of the points with their newest values."""
    metric = progress.metric or "value"
    points = [
        SweepPoint(
            run=point.run,
            overrides=point.settings,
            metrics={metric: point.value} if point.value is not None else {},
            is_complete=point.reached == len(progress.rungs) - 1,
            gpu_hours=point.gpu_hours,
        )
        for point in progress.points
    ]
    sweep = Sweep(name=progress.name, parameters=progress.parameters, metrics=(metric,), points=tuple(points))
    return parallel(sweep, points, points[0] if progress.best else None, {})
